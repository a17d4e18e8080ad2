"""The whole job as a careful pandas + scikit-learn script: a peer in `benchmarks.series`.

python -m benchmarks.pandas_job TABLE FOLDER [--entity COLUMN]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from benchmarks.peer_job import SPLITS, STRIDES, fit_pca, one_hot_name, save, window_places, windows
from benchmarks.peers import datetime_pandas

KEYS = ["row_number", "time"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Features, split, windows and PCA with pandas and scikit-learn.")
    parser.add_argument("table", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--entity", help="column that tells the series apart")
    arguments = parser.parse_args()

    frame = pd.read_parquet(arguments.table)
    frame["row_number"] = np.arange(len(frame))
    frame = frame.sort_values("time", kind="stable", ignore_index=True)
    series = [arguments.entity] if arguments.entity else []
    parts = dict(zip(SPLITS, split_by_time(frame), strict=True))
    del frame
    features = fit_features(parts["train"], pq.read_schema(arguments.table).remove_metadata(), dropped=series)
    matrices, keys, lengths = {}, {}, {}
    for name in SPLITS:
        part = parts.pop(name)
        part = part.sort_values(series, kind="stable", ignore_index=True) if series else part
        block = features(part)
        matrices[name], keys[name] = block.to_numpy(), pa.Table.from_pandas(part[KEYS], preserve_index=False)
        if series:
            lengths[name] = part.groupby(series, sort=False, dropna=False).size().to_numpy()
        rows = pd.concat([part[series + KEYS], block], axis=1)
        save(pa.Table.from_pandas(rows, preserve_index=False), arguments.folder / "features" / f"split={name}")
        del part, block, rows
    for stride in STRIDES:
        places = {name: window_places(of, stride) for name, of in lengths.items()}
        pca = fit_pca(matrices["train"], stride, places.get("train"))
        for name in SPLITS:
            folder = arguments.folder / "windows" / f"stride={stride}" / f"split={name}"
            save(windows(matrices[name], keys[name], pca, stride, places.get(name)), folder)


def split_by_time(frame: pd.DataFrame) -> list[pd.DataFrame]:
    time = frame["time"]
    first, second = (int(time.searchsorted(time.iloc[int(share * len(time))], side="left")) for share in (0.8, 0.9))
    return [frame.iloc[:first], frame.iloc[first:second], frame.iloc[second:]]


def fit_features(train: pd.DataFrame, schema: pa.Schema, *, dropped: list[str]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Return what computes the features of any rows, with the statistics of the training rows."""
    kinds = {field.name: field.type for field in schema if field.name not in dropped}
    numbers = [name for name, kind in kinds.items() if pt.is_integer(kind) or pt.is_floating(kind)]
    medians = train[numbers].median()
    filled = train[numbers].fillna(medians)
    means, scales = filled.mean(), filled.std(ddof=0)
    del filled
    fills = {name: train[name].astype("float64").median() for name, kind in kinds.items() if pt.is_boolean(kind)}
    vocabularies = {name: sorted(train[name].value_counts().index[:100]) for name, kind in kinds.items() if pt.is_string(kind)}

    def features(rows: pd.DataFrame) -> pd.DataFrame:
        columns = {}
        for name, kind in kinds.items():
            values = rows[name]
            if name in numbers:
                columns[name] = ((values.fillna(medians[name]) - means[name]) / scales[name]).astype("float32")
            elif name in fills:
                columns[name] = values.astype("float32").fillna(fills[name])
            elif name in vocabularies:
                for value in vocabularies[name]:
                    columns[one_hot_name(name, value)] = values.eq(value).fillna(value=False).astype("float32")
                other = ~values.isin(vocabularies[name]) & values.notna()
                columns[f"{name}_other"], columns[f"{name}_null"] = other.astype("float32"), values.isna().astype("float32")
            elif pt.is_timestamp(kind):
                parts = datetime_pandas(values).astype("float32")
                columns |= {f"{name}_{part}": parts[part] for part in parts}
        return pd.DataFrame(columns)

    return features


if __name__ == "__main__":
    main()
