"""The whole job as a careful polars + scikit-learn script: the peer in `benchmarks.whole_job` and `benchmarks.series`.

python -m benchmarks.peer_job TABLE FOLDER [--entity COLUMN]
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.decomposition import IncrementalPCA

from benchmarks.peers import datetime_expressions, window_batches

SPLITS = ("train", "validation", "test")
SIZE = 5
STRIDES = (1, 3, 5)


def main() -> None:
    parser = argparse.ArgumentParser(description="Features, split, windows and PCA with polars and scikit-learn.")
    parser.add_argument("table", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--entity", help="column that tells the series apart")
    arguments = parser.parse_args()

    frame = pl.read_parquet(arguments.table).with_row_index("row_number").sort("time", maintain_order=True)
    series = [arguments.entity] if arguments.entity else []
    splits = dict(zip(SPLITS, split_by_time(frame), strict=True))
    del frame
    splits = {name: part.sort(series, maintain_order=True) if series else part for name, part in splits.items()}
    expressions = fit_features(splits["train"].drop(series))
    rows = {}
    for name in SPLITS:
        part = splits.pop(name).lazy().select(*series, "row_number", "time", *expressions).collect()
        save(part.to_arrow(), arguments.folder / "features" / f"split={name}")
        rows[name] = part
    matrices = {name: part.drop(*series, "row_number", "time").to_numpy() for name, part in rows.items()}
    keys = {name: part.select("row_number", "time").to_arrow() for name, part in rows.items()}
    lengths = (
        {name: part[series[0]].rle().struct.field("len").to_numpy().astype(np.int64) for name, part in rows.items()}
        if series
        else {}
    )
    del rows, part
    for stride in STRIDES:
        places = {name: window_places(of, stride) for name, of in lengths.items()}
        pca = fit_pca(matrices["train"], stride, places.get("train"))
        for name in SPLITS:
            folder = arguments.folder / "windows" / f"stride={stride}" / f"split={name}"
            save(windows(matrices[name], keys[name], pca, stride, places.get(name)), folder)


def split_by_time(frame: pl.DataFrame) -> list[pl.DataFrame]:
    time = frame["time"]
    bounds = [time[int(0.8 * len(time))], time[int(0.9 * len(time))]]
    first, second = (int(time.search_sorted(bound, side="left")) for bound in bounds)
    return [frame[:first], frame[first:second], frame[second:]]


def fit_features(train: pl.DataFrame) -> list[pl.Expr]:
    """Expressions that compute the features of any rows, with the statistics of the training rows."""
    numbers = [name for name, kind in train.schema.items() if kind.is_numeric() and name != "row_number"]
    medians = train.select(pl.col(numbers).median()).row(0, named=True)
    filled = train.lazy().select(pl.col(name).fill_null(medians[name]) for name in numbers)
    means = filled.select(pl.all().mean()).collect().row(0, named=True)
    scales = filled.select(pl.all().std(ddof=0)).collect().row(0, named=True)

    expressions: list[pl.Expr] = []
    for name, kind in train.schema.items():
        if name in numbers:
            centred = pl.col(name).cast(pl.Float64).fill_null(medians[name]) - means[name]
            expressions.append((centred / scales[name]).cast(pl.Float32))
        elif kind == pl.Boolean:
            fill = train[name].cast(pl.Float64).median()
            expressions.append(pl.col(name).cast(pl.Float32).fill_null(fill))
        elif kind == pl.String:
            vocabulary = train[name].drop_nulls().value_counts(sort=True)[name].head(100).sort()
            for value in vocabulary:
                expressions.append(
                    (pl.col(name) == value).fill_null(value=False).cast(pl.Float32).alias(one_hot_name(name, value))
                )
            other = ~pl.col(name).is_in(vocabulary.implode()) & pl.col(name).is_not_null()
            expressions.append(other.fill_null(value=False).cast(pl.Float32).alias(f"{name}_other"))
            expressions.append(pl.col(name).is_null().cast(pl.Float32).alias(f"{name}_null"))
        elif kind.is_temporal():
            expressions += [expression.cast(pl.Float32) for expression in datetime_expressions(name)]
    return expressions


def one_hot_name(column: str, value: str) -> str:
    return f"{column}_{re.sub('[^0-9a-zA-Z_]', '_', value)}"


def window_places(lengths: np.ndarray, stride: int) -> np.ndarray:
    """First rows of the windows of series of these lengths, one after another."""
    counts = np.maximum((lengths - SIZE) // stride + 1, 0)
    starts = np.cumsum(lengths) - lengths
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(starts, counts) + stride * within


def batches_of(rows: np.ndarray, stride: int, places: np.ndarray | None) -> Iterator[np.ndarray]:
    """Windows as rows of matrices: all of one series, or those that begin at some places."""
    if places is None:
        yield from window_batches(rows, size=SIZE, stride=stride)
        return
    for begin in range(0, len(places), 10_000):
        some = places[begin : begin + 10_000, None] + np.arange(SIZE)
        yield rows[some].reshape(len(some), -1)


def fit_pca(rows: np.ndarray, stride: int, places: np.ndarray | None) -> IncrementalPCA:
    pca = IncrementalPCA(n_components=min(SIZE * rows.shape[1] // 2, 32))
    for batch in batches_of(rows, stride, places):
        if len(batch) >= pca.n_components:
            pca.partial_fit(batch)
    return pca


def windows(rows: np.ndarray, keys: pa.Table, pca: IncrementalPCA, stride: int, places: np.ndarray | None) -> pa.Table:
    none = np.empty((0, pca.n_components), np.float32)
    scores = np.concatenate([none, *(pca.transform(batch) for batch in batches_of(rows, stride, places))])
    places = np.arange(0, len(keys) - SIZE + 1, stride) if places is None else places
    first, last = keys.take(pa.array(places)), keys.take(pa.array(places + SIZE - 1))
    columns = {f"{end}_{name}": part[name] for end, part in (("first", first), ("last", last)) for name in keys.column_names}
    columns |= {f"pc_{i}": pa.array(np.ascontiguousarray(scores[:, i], dtype=np.float32)) for i in range(scores.shape[1])}
    return pa.table(columns)


def save(table: pa.Table, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / "part-00000.parquet", compression="zstd", compression_level=1)


if __name__ == "__main__":
    main()
