"""The synthetic table of the benchmarks: 16 numeric, one string, one boolean and one time column; 45 features.

python -m benchmarks.table PATH --rows 2000000
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP_ROWS = 100_000
CITIES = [
    "Amsterdam", "Athens", "Berlin", "Bern", "Brussels", "Copenhagen", "Dublin", "Helsinki", "Lisbon",
    "London", "Madrid", "Oslo", "Paris", "Prague", "Rome", "Stockholm", "Vienna", "Warsaw",
]  # fmt: skip
SCHEMA = pa.schema(
    [
        ("time", pa.timestamp("us")),
        *[(f"signal_{i}", pa.float64()) for i in range(8)],
        *[(f"reading_{i}", pa.float32()) for i in range(4)],
        *[(f"count_{i}", pa.int32()) for i in range(4)],
        ("city", pa.string()),
        ("open", pa.bool_()),
    ]
)


def write_table(path: Path, *, n_rows: int, seed: int = 0) -> Path:
    """Write the table one row group at a time. A longer table begins with the rows of a shorter one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, SCHEMA, compression="zstd", compression_level=1) as writer:
        for group, first in enumerate(range(0, n_rows, ROW_GROUP_ROWS)):
            writer.write_table(_rows(first, seed=seed, group=group).slice(0, n_rows - first))
    return path


def rearrange(
    source: Path, target: Path, places: np.ndarray, *, entity: Callable[[np.ndarray], np.ndarray] | None = None
) -> Path:
    """Write the rows of a table in another order, in memory that its length only adds the places to.

    Parameters
    ----------
    places : integer array of shape (n_rows,)
        Place of each row of the source in the target.
    entity : callable, optional
        Numbers of the entities of rows, given their numbers in the source: written as a text column `entity`.
    """
    bucket_rows = 10 * ROW_GROUP_ROWS
    with ExitStack() as opened, pq.ParquetFile(source) as rows_in:
        folder = Path(opened.enter_context(TemporaryDirectory(dir=target.parent)))
        schema = SCHEMA.append(pa.field("entity", pa.string())) if entity else SCHEMA
        inner = schema.append(pa.field("place", pa.int64()))
        paths = [folder / f"{i}.arrow" for i in range(-(-len(places) // bucket_rows))]
        with ExitStack() as writing:
            buckets = [writing.enter_context(pa.ipc.new_file(path, inner)) for path in paths]
            first = 0
            for group in range(rows_in.num_row_groups):
                rows = rows_in.read_row_group(group)
                numbers = np.arange(first, first + len(rows))
                first += len(rows)
                if entity:
                    rows = rows.append_column("entity", pa.array(entity(numbers)).cast(pa.string()))
                rows = rows.append_column("place", pa.array(places[numbers], pa.int64())).cast(inner)
                bucket_of = places[numbers] // bucket_rows
                for bucket in np.unique(bucket_of):
                    buckets[bucket].write_table(rows.take(np.flatnonzero(bucket_of == bucket)))
        writer = opened.enter_context(pq.ParquetWriter(target, schema, compression="zstd", compression_level=1))
        for path in paths:
            with pa.ipc.open_file(path) as bucket:
                rows = bucket.read_all().sort_by("place").drop_columns("place")
            writer.write_table(rows, row_group_size=ROW_GROUP_ROWS)
            path.unlink()
    return target


def shuffle(source: Path, target: Path, *, n_rows: int, entity: Callable[[np.ndarray], np.ndarray] | None = None) -> Path:
    """Write the rows of a table in random order; see `rearrange`."""
    return rearrange(source, target, np.random.default_rng(1).permutation(n_rows), entity=entity)


def write_files(source: Path, folder: Path, *, n_files: int) -> Path:
    """Write the rows of a table, in their order, to files of equal numbers of rows, a hundred files to a folder."""
    with pq.ParquetFile(source) as rows_in:
        per_file = -(-rows_in.metadata.num_rows // n_files)
        for number, rows in enumerate(_batches(rows_in, per_file)):
            path = folder / f"{number // 100:03}" / f"{number:05}.parquet"  # no `key=value`, which would be a column
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(rows, path, compression="zstd", compression_level=1, row_group_size=ROW_GROUP_ROWS)
    return folder


def _batches(rows_in: pq.ParquetFile, n_rows: int) -> Iterator[pa.Table]:
    """Yield the rows of a file, `n_rows` at a time; fewer at the end."""
    left: list[pa.Table] = []
    for batch in rows_in.iter_batches(min(n_rows, ROW_GROUP_ROWS)):
        left.append(pa.Table.from_batches([batch]))
        while sum(map(len, left)) >= n_rows:
            rows = pa.concat_tables(left)
            yield rows.slice(0, n_rows)
            left = [rows.slice(n_rows)]
    if sum(map(len, left)):
        yield pa.concat_tables(left)


def write_numbers(path: Path, *, n_rows: int, n_columns: int) -> Path:
    """Write a time column, which makes eight features, and `n_columns` columns of numbers, which make one each."""
    schema = pa.schema([("time", pa.timestamp("us")), *[(f"x{i}", pa.float32()) for i in range(n_columns)]])
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=1) as writer:
        for group, first in enumerate(range(0, n_rows, ROW_GROUP_ROWS)):
            rng, n = np.random.default_rng([n_columns, group]), min(ROW_GROUP_ROWS, n_rows - first)
            time = np.datetime64("2020-01-01", "us") + (np.arange(first, first + n) * 1_000_000).astype("timedelta64[us]")
            common = np.cumsum(rng.standard_normal(n, np.float32)) / 100
            columns = [common + rng.standard_normal(n, np.float32) for _ in range(n_columns)]
            writer.write_table(pa.table([pa.array(time), *map(pa.array, columns)], schema=schema))
    return path


def _rows(first: int, *, seed: int, group: int) -> pa.Table:
    rng = np.random.default_rng([seed, group])
    n = ROW_GROUP_ROWS
    row = first + np.arange(n)
    # One row per second, and a daily rhythm common to all signals, so that the windows have a few strong components.
    time = np.datetime64("2020-01-01", "us") + (row * 1_000_000 + rng.integers(0, 900_000, n)).astype("timedelta64[us]")
    rhythm = np.sin(2 * np.pi * row / 86_400)
    columns: list[pa.Array] = [pa.array(time)]
    for i in range(8):
        noise = np.convolve(rng.standard_normal(n + 9), np.full(10, 10**-0.5), "valid")
        columns.append(pa.array(100.0 * i + (i + 1) * (rhythm + noise)))
    for i in range(4):
        missing = rng.random(n) < 0.02 * i
        columns.append(pa.array(rng.gamma(2.0, 1.0 + i, n).round(2).astype(np.float32), mask=missing))
    for i in range(4):
        missing = rng.random(n) < 0.01 * i
        columns.append(pa.array(rng.poisson(5.0 * (i + 1) * (1.5 + rhythm)).astype(np.int32), mask=missing))
    city = np.minimum(rng.geometric(0.15, n) - 1, len(CITIES) - 1).astype(np.int32)
    names = pa.DictionaryArray.from_arrays(pa.array(city, mask=rng.random(n) < 0.01), pa.array(CITIES))
    columns.append(names.cast(pa.string()))
    columns.append(pa.array(rng.random(n) < 0.7, mask=rng.random(n) < 0.005))
    return pa.table(columns, schema=SCHEMA)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the synthetic table of the benchmarks.")
    parser.add_argument("path", type=Path)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    write_table(arguments.path, n_rows=arguments.rows, seed=arguments.seed)


if __name__ == "__main__":
    main()
