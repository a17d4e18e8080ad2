"""The machine's floor for a whole job: the least that decoding, arithmetic, encoding and writing can take, on all cores.

    python -m benchmarks.floor TABLE RESULT [--rounds 3]

TABLE is a Parquet file, RESULT what a job made of it. The shapes come from the files of the result. The floor is the sum of

- decode: read all columns of the table once, row group by row group;
- Gram: the products that the Gram matrices of all strides need at best. Rows are multiplied with those 0, 1, ... size - 1
  rows later, in float64; no window is built, and one pass serves every stride;
- project: the windows of all strides times the loadings, in float32, with the operands in cache;
- encode: the same columns to Parquet, with the compression and encodings of the result's files, into a stream that drops them;
- write: as many bytes to files.

Nothing is sorted, hashed, profiled or synced, and no feature is computed: a job that does this can only come near to it. The
Gram products in float32 are shown beside it.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

from benchmarks.machine import print_machine
from benchmarks.measure import Cost, median_of, timed
from emberharmony.threads import available_cores

T = TypeVar("T")
R = TypeVar("R")

BLOCK_ROWS = 1_024
"""Rows, or windows, of one product, whose operands and result fit in the cache of a core. Measured from 512 to 8,192: 512 and
1,024 are the fastest, 8,192 takes a fifth longer."""


@dataclass(frozen=True)
class Shape:
    """Numbers of a result that decide what its arithmetic costs at least."""

    train_rows: int
    n_features: int
    size: int
    n_windows: int  # of all splits and strides
    n_components: int

    @classmethod
    def of(cls, result: Path, *, size: int) -> Shape:
        """Read the shapes of a result from the footers of its files."""
        features = pq.read_schema(next(result.glob("features/split=*/*.parquet")))
        windows = sorted(result.glob("windows/stride=*/split=*/*.parquet"))
        scores = pq.read_schema(windows[0]).names
        return cls(
            train_rows=_n_rows(result.glob("features/split=train/*.parquet")),
            n_features=sum(field.type == pa.float32() for field in features),
            size=size,
            n_windows=_n_rows(windows),
            n_components=sum(name.startswith("pc_") for name in scores),
        )

    @property
    def gram_operations(self) -> int:
        """Floating-point operations of the lag products; each row has a one beside its features, for the sums."""
        width = self.n_features + 1
        return 2 * self.train_rows * width * width * self.size

    @property
    def project_operations(self) -> int:
        """Floating-point operations of the projections."""
        return 2 * self.n_windows * self.size * self.n_features * self.n_components


@dataclass(frozen=True)
class Floor:
    """The least that each part of a whole job can take."""

    decode: Cost
    gram: Cost
    gram_float32: Cost  # shown beside the others, not part of the total
    project: Cost
    encode: Cost
    write: Cost

    @property
    def parts(self) -> dict[str, Cost]:
        """The parts of the total, by name."""
        names = ("decode", "gram", "project", "encode", "write")
        return {name: getattr(self, name) for name in names}

    @property
    def total(self) -> Cost:
        """All parts, one after the other."""
        return sum(self.parts.values(), start=Cost(0.0, 0.0))

    @classmethod
    def median(cls, floors: Sequence[Floor]) -> Floor:
        """Return the median of each part."""
        return cls(*(median_of(getattr(floor, name) for floor in floors) for name in cls.__dataclass_fields__))


def measure_floor(table: Path, result: Path, *, size: int) -> Floor:
    """Measure the floor of a job that turned `table` into `result`, once."""
    shape = Shape.of(result, size=size)
    decoded, _ = timed(lambda: decode(table))
    gram, _ = timed(lambda: multiply(*_gram_products(shape), np.float64))
    gram_float32, _ = timed(lambda: multiply(*_gram_products(shape), np.float32))
    projected, _ = timed(lambda: multiply(*_projections(shape), np.float32))
    with tempfile.TemporaryDirectory(dir=result.parent) as folder:  # on the disk that the job writes to
        encoded, written = encode_and_write(result, Path(folder))
    return Floor(decoded, gram, gram_float32, projected, encoded, written)


def decode(table: Path) -> None:
    """Read every column of a Parquet file once, and keep nothing."""
    metadata = pq.read_metadata(table)

    def read(group: int) -> None:
        pq.ParquetFile(table, metadata=metadata).read_row_group(group, use_threads=False)

    on_all_cores(read, range(metadata.num_row_groups))


def multiply(n_blocks: int, left: tuple[int, int], right: tuple[int, int], dtype: type) -> None:
    """Multiply matrices of two shapes `n_blocks` times; every core has operands and a result of its own, in its cache."""
    cores = available_cores()

    def products(count: int) -> None:
        a, b = np.ones(left, dtype), np.ones(right, dtype)
        out = np.empty((left[0], right[1]), dtype)
        for _ in range(count):
            np.matmul(a, b, out=out)

    on_all_cores(products, [n_blocks // cores + (i < n_blocks % cores) for i in range(cores)])


def _gram_products(shape: Shape) -> tuple[int, tuple[int, int], tuple[int, int]]:
    width = shape.n_features + 1
    n_blocks = -(-shape.train_rows // BLOCK_ROWS)
    return n_blocks, (width, BLOCK_ROWS), (BLOCK_ROWS, shape.size * width)


def _projections(shape: Shape) -> tuple[int, tuple[int, int], tuple[int, int]]:
    depth = shape.size * shape.n_features
    n_blocks = -(-shape.n_windows // BLOCK_ROWS)
    return n_blocks, (shape.n_components, depth), (depth, BLOCK_ROWS)


def encode_and_write(result: Path, folder: Path) -> tuple[Cost, Cost]:
    """Encode every part of a result again, and write it to a file; reading the parts is not counted."""
    parts = sorted(result.glob("features/*/*.parquet")) + sorted(result.glob("windows/*/*/*.parquet"))
    parts.sort(key=lambda part: part.stat().st_size)  # parts of a size take the cores the same time
    encoded = written = Cost(0.0, 0.0)
    at_once = 4 * available_cores()
    for begin in range(0, len(parts), at_once):
        some = parts[begin : begin + at_once]
        tables = [(pq.ParquetFile(part).read(), settings_of(pq.read_metadata(part))) for part in some]
        cost, _ = timed(lambda tables=tables: on_all_cores(_encode, tables))
        encoded += cost
        del tables
        files = [(folder / str(i), part.read_bytes()) for i, part in enumerate(some)]
        cost, _ = timed(lambda files=files: on_all_cores(_write, files))
        written += cost
        for file, _ in files:
            file.unlink()
    return encoded, written


def settings_of(metadata: pq.FileMetaData) -> dict[str, object]:
    """Return what `pyarrow.parquet.write_table` needs to write a file as this one was written."""
    group = metadata.row_group(0) if metadata.num_row_groups else None
    columns = [group.column(i) for i in range(group.num_columns)] if group else []
    return {
        "row_group_size": max(1, group.num_rows) if group else None,
        "use_dictionary": [it.path_in_schema for it in columns if it.has_dictionary_page],
        "compression": {it.path_in_schema: it.compression.replace("UNCOMPRESSED", "NONE") for it in columns} or "NONE",
        "write_statistics": [it.path_in_schema for it in columns if it.is_stats_set],
    }


def _encode(part: tuple[pa.Table, dict[str, object]]) -> int:
    table, settings = part
    stream = pa.MockOutputStream()  # it counts the bytes and drops them
    pq.write_table(table, stream, **settings)
    return int(stream.size())


def _write(file: tuple[Path, bytes]) -> None:
    path, content = file
    with path.open("wb", buffering=0) as handle:
        handle.write(content)


def on_all_cores(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Do the work for every item, one thread to a core, each with one thread of BLAS."""
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(available_cores()) as pool:
        return list(pool.map(work, items))


def _n_rows(parts: Iterable[Path]) -> int:
    return sum(pq.read_metadata(part).num_rows for part in parts)


def print_floor(floor: Floor, shape: Shape) -> None:
    """Print each part, its share, and the rate of the products."""
    total = floor.total
    rates = {"gram": shape.gram_operations, "project": shape.project_operations}
    for name, cost in floor.parts.items():
        rate = f", {rates[name] / cost.seconds / 1e9:,.0f} GFlop/s" if name in rates else ""
        print(f"  {name:<14}{cost.seconds:8.2f} s {cost.cpu_seconds:8.2f} s CPU {cost.seconds / total.seconds:6.0%}{rate}")
    print(f"  {'the floor':<14}{total.seconds:8.2f} s {total.cpu_seconds:8.2f} s CPU")
    beside = floor.gram_float32
    rate = f"{shape.gram_operations / beside.seconds / 1e9:,.0f} GFlop/s"
    print(f"  {'gram, float32':<14}{beside.seconds:8.2f} s {beside.cpu_seconds:8.2f} s CPU, not counted, {rate}")


def main() -> None:
    parser = argparse.ArgumentParser(description="The machine's floor for a whole job.")
    parser.add_argument("table", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--size", type=int, default=5, help="rows of a window")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print_machine(["numpy", "pyarrow"])
    floors = [measure_floor(arguments.table, arguments.result, size=arguments.size) for _ in range(arguments.rounds)]
    print(f"medians of {arguments.rounds} rounds")
    print_floor(Floor.median(floors), Shape.of(arguments.result, size=arguments.size))


if __name__ == "__main__":
    main()
