# %% [markdown]
# # The flights, in a notebook
#
# 336,776 flights left New York in 2013. Below they become features, a split without leakage, and windows of several
# strides compressed by PCA, with the two classes that call the pipeline's own functions. Everything runs in memory
# that does not grow with the table, except for the frames that you hold yourself.

# %%
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from emberharmony import ops
from emberharmony.features import TerabyteFeatureExtractor, TerabyteTemporalStrideProcessor
from flows.cli.flights import prepare_flights

data = Path(os.environ.get("EMBERHARMONY_DATA", "data"))
flights = prepare_flights(data / "flights.parquet")  # once; after that it is there

# %% [markdown]
# ## What is in the table?

# %%
extractor = TerabyteFeatureExtractor(chunk_size=100_000, max_memory_gb=8.0)
n_flights = extractor.row_count(flights)
types = extractor.detect_column_types(flights)
print(f"{n_flights:,} flights; {len(types.numeric)} columns of numbers, {len(types.categorical)} of categories")
types

# %% [markdown]
# Anything can be asked of a table that is larger than memory: a function sees one chunk after the other.

# %%
late = extractor.process_in_chunks(flights, lambda chunk: (chunk["arr_delay"] > 15).sum(), columns=["arr_delay"])
print(f"{sum(late):,} flights arrived more than a quarter of an hour late")

# %% [markdown]
# ## Features
#
# `time_hour` puts the flights in order: the first 80 % train, the next 10 % validate, the last 10 % test. What is
# fitted (medians, means, deviations, categories) is fitted on the training rows alone. `arr_delay` is to be foretold;
# columns that are known only after a flight has left are dropped.

# %%
prepared = extractor.prepare_data(
    flights,
    target_column="arr_delay",
    force_categorical_columns=["sched_dep_time"],
    drop_columns=["dep_time", "dep_delay", "arr_time", "air_time", "month", "day", "hour", "flight", "tailnum"],
    index_col="time_hour",
)
print(f"{len(prepared.feature_names)} features; {len(prepared.train):,} rows train, {len(prepared.test):,} test")
print("not made a feature of:", {name: why for name, why in prepared.dropped.items() if "configuration" not in why})
prepared.train.iloc[:3, :8]

# %% [markdown]
# Hours go around a circle. The extractor's eight features of a time follow this formula; on any backend, `ops`
# computes it as well.

# %%
hours = pd.DataFrame({"hour": np.arange(24)})
angle = 2 * ops.pi * ops.convert_to_tensor(hours["hour"] / 23.0)
print(ops.sin(angle).numpy().round(2))

# %% [markdown]
# ## Windows
#
# A window is `window_size` flights in a row, a new one every 1, 3 or 5 flights. The generator runs once; its batches
# may be of any size, and no window is lost or counted twice where two of them meet.

# %%
names = list(prepared.feature_names)
processor = TerabyteTemporalStrideProcessor(window_size=5, stride_perspectives=(1, 3, 5), pca_components=8, batch_size=10_000)


def batches(frame: pd.DataFrame, n_rows: int = 25_000) -> Iterator[pd.DataFrame]:
    """Rows of a frame, some at a time, as they would come from a stream."""
    for begin in range(0, len(frame), n_rows):
        yield frame.iloc[begin : begin + n_rows][names]


scores = processor.process_large_dataset(batches(prepared.train))
for stride, values in scores.items():
    print(
        f"stride {stride}: {len(values):,} windows, {processor.get_explained_variance(stride):.1%} of the variance explained"
    )

# %% [markdown]
# The fitted models are scikit-learn's. Which features weigh most, over all lags?

# %%
weight = processor.get_feature_importance(1).reshape(processor.window_size, -1).sum(axis=0)
most = pd.Series(weight, names).nlargest(5)
most

# %% [markdown]
# The test rows are another series: `process_batch` projects them on the models that the training rows fitted.

# %%
test_scores = processor.process_batch(prepared.test[names])
print({stride: values.shape for stride, values in test_scores.items()})

# %% [markdown]
# Tomorrow's rows become the same features with the fitted state.

# %%
tomorrow = pd.read_parquet(flights).head(100)
features = extractor.transform(tomorrow, prepared.state)
features.iloc[:3, :8]
