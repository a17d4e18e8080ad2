# %% [markdown]
# # The flights, in a notebook
#
# 336,776 flights left New York in 2013. This notebook turns them into features, a split without leakage, and windows
# of several strides, compressed by PCA. Its two classes call the functions of the pipeline. Memory does not grow with
# the table, except for the frames that you keep.

# %%
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from emberharmony import ops
from emberharmony.features import TerabyteFeatureExtractor, TerabyteTemporalStrideProcessor
from flows.flights import prepare_flights

data = Path(os.environ.get("EMBERHARMONY_DATA", "data"))
flights = prepare_flights(data / "flights.parquet")  # prepared once, then reused

# %% [markdown]
# ## What is in the table?

# %%
extractor = TerabyteFeatureExtractor(chunk_size=100_000, max_memory_gb=8.0)
n_flights = extractor.row_count(flights)
types = extractor.detect_column_types(flights)
print(f"{n_flights:,} flights; {len(types.numeric)} columns of numbers, {len(types.categorical)} of categories")
types

# %% [markdown]
# `process_in_chunks` calls a function with one chunk after the other, so the table may be larger than memory.

# %%
late = extractor.process_in_chunks(flights, lambda chunk: (chunk["arr_delay"] > 15).sum(), columns=["arr_delay"])
print(f"{sum(late):,} flights arrived more than a quarter of an hour late")

# %% [markdown]
# ## Features
#
# `time_hour` orders the flights: the first 80 % are for training, the next 10 % for validation, the last 10 % for
# testing. Medians, means, deviations and categories are fitted on the training rows alone. `arr_delay` is the target.
# Columns that are known only after departure are dropped.

# %%
prepared = extractor.prepare_data(
    flights,
    target_column="arr_delay",
    force_categorical_columns=["sched_dep_time"],
    drop_columns=["dep_time", "dep_delay", "arr_time", "air_time", "month", "day", "hour", "flight", "tailnum"],
    index_col="time_hour",
)
print(f"{len(prepared.feature_names)} features; {len(prepared.train):,} rows train, {len(prepared.test):,} test")
print("without a feature:", {name: why for name, why in prepared.dropped.items() if "configuration" not in why})
prepared.train.iloc[:3, :8]

# %% [markdown]
# Hours lie on a circle. This is the formula of the extractor's features of a time, computed by `ops` on any backend.

# %%
hours = pd.DataFrame({"hour": np.arange(24)})
angle = 2 * ops.pi * ops.convert_to_tensor(hours["hour"] / 23.0)
print(ops.sin(angle).numpy().round(2))

# %% [markdown]
# ## Windows
#
# A window holds `window_size` flights in a row, and a new one begins every 1, 3 or 5 flights. The generator is read
# once. Its batches may have any size: windows that cross two batches are counted exactly once.

# %%
names = list(prepared.feature_names)
processor = TerabyteTemporalStrideProcessor(window_size=5, stride_perspectives=(1, 3, 5), pca_components=8, batch_size=10_000)


def batches(frame: pd.DataFrame, n_rows: int = 25_000) -> Iterator[pd.DataFrame]:
    """Yield the rows of a frame in batches, as a stream would."""
    for begin in range(0, len(frame), n_rows):
        yield frame.iloc[begin : begin + n_rows][names]


scores = processor.process_large_dataset(batches(prepared.train))
for stride, values in scores.items():
    print(
        f"stride {stride}: {len(values):,} windows, {processor.get_explained_variance(stride):.1%} of the variance explained"
    )

# %% [markdown]
# The fitted models are models of scikit-learn. Which features have the largest loadings, summed over all lags?

# %%
weight = processor.get_feature_importance(1).reshape(processor.window_size, -1).sum(axis=0)
most = pd.Series(weight, names).nlargest(5)
most

# %% [markdown]
# The test rows are another series. `process_batch` projects them on the models fitted on the training rows.

# %%
test_scores = processor.process_batch(prepared.test[names])
print({stride: values.shape for stride, values in test_scores.items()})

# %% [markdown]
# The fitted state makes the same features of tomorrow's rows.

# %%
tomorrow = pd.read_parquet(flights).head(100)
features = extractor.transform(tomorrow, prepared.state)
features.iloc[:3, :8]
