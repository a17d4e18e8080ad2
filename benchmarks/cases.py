"""Tables that users of other libraries could not process on one machine, each with `max_memory_gb: 1`.

    python -m benchmarks.cases [--scale 0.1] [--only windows categories bytes series] [--folder FOLDER] [--out FILE]

- windows: windows of 100 rows over 7 M rows, which take 100 times the table where they are built;
- categories: a column of 5 M categories over 10 M rows;
- bytes: 24 GB of Parquet files through one worker. The files are one file under many names, which share its bytes on the disk;
- series: 1 M series of 10 rows, in random order.

For each it prints rows, bytes, seconds, and the peak memory beside the plan's. `--scale` makes all of them smaller. At full
size they take an hour on two idle cores, and 40 GB of disk for `bytes`, whose result is larger than its table.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.jobs import job_of
from benchmarks.machine import Machine, print_machine
from benchmarks.measure import FailedError
from benchmarks.series import series_table
from benchmarks.table import ROW_GROUP_ROWS
from benchmarks.workbench import Workbench

MAX_MEMORY_GB = 1.0
PART_ROWS = 1_000_000
PACKAGES = ["emberharmony", "numpy", "pyarrow"]


@dataclass(frozen=True)
class Case:
    """A table and its job; `make` takes the workbench and the scale."""

    name: str
    what: str
    make: Callable[[Workbench, float], dict[str, Any]]


@dataclass(frozen=True)
class Outcome:
    """What a case took, or why it failed."""

    name: str
    n_rows: int = 0
    n_bytes: int = 0  # of the table's files
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0
    planned_mb: float = 0.0
    error: str = ""

    def __str__(self) -> str:
        """Return one line."""
        if self.error:
            return f"{self.name:<12} FAILED: {self.error}"
        memory = f"{self.peak_mb:,.0f} MB at most, {self.planned_mb:,.0f} MB planned, {MAX_MEMORY_GB * 1024:,.0f} MB allowed"
        size = f"{self.n_rows:>11,} rows, {self.n_bytes / 1e9:6.2f} GB"
        return f"{self.name:<12} {size}: {self.seconds:7.1f} s, {self.cpu_seconds:7.1f} s CPU; {memory}"


def _windows(bench: Workbench, scale: float) -> dict[str, Any]:
    table = bench.table(int(7_000_000 * scale))
    drop = [f"signal_{i}" for i in range(4, 8)] + [f"count_{i}" for i in range(4)] + ["city"]
    return job_of(table, bench.result, columns={"drop": drop}, windows={"size": 100, "strides": [1, 10]})


def _categories(bench: Workbench, scale: float) -> dict[str, Any]:
    n_rows, n_categories = int(10_000_000 * scale), int(5_000_000 * scale)
    make = lambda path: write_categories(path, n_rows=n_rows, n_categories=n_categories)  # noqa: E731
    table = bench.made(f"categories-{n_rows}-{n_categories}.parquet", make)
    return job_of(table, bench.result, columns={"kinds": {"name": "categorical"}})


def _bytes(bench: Workbench, scale: float) -> dict[str, Any]:
    part = bench.table(max(1_000, int(PART_ROWS * min(1.0, scale * 10))))
    n_copies = max(1, round(24e9 * scale / part.stat().st_size))
    table = bench.made(f"copies-{part.stem}-{n_copies}", lambda folder: repeat(part, folder, n_copies=n_copies))
    # The copies' times would interleave, so that the rows are in the order of the files, as those of a log without times.
    columns = {"time": None, "drop": ["time"]}
    return job_of(table, bench.result, columns=columns, windows={"strides": [5]}, runtime={"workers": 1})


def _series(bench: Workbench, scale: float) -> dict[str, Any]:
    n_series = int(1_000_000 * scale)
    table = series_table(bench, 10 * n_series, n_series, in_order=False)
    return job_of(table, bench.result, columns={"entity": "entity"})


CASES = (
    Case("windows", "windows of 100 rows over 7 M rows", _windows),
    Case("categories", "a column of 5 M categories", _categories),
    Case("bytes", "24 GB through one worker", _bytes),
    Case("series", "1 M series, shuffled", _series),
)


def write_categories(path: Path, *, n_rows: int, n_categories: int) -> Path:
    """Write a time, a number, and a text that takes each of `n_categories` values about equally often."""
    schema = pa.schema([("time", pa.timestamp("us")), ("x", pa.float32()), ("name", pa.string())])
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=1, use_dictionary=False) as writer:
        for first in range(0, n_rows, ROW_GROUP_ROWS):
            numbers = np.arange(first, min(first + ROW_GROUP_ROWS, n_rows))
            time = np.datetime64("2020-01-01", "us") + (numbers * 1_000_000).astype("timedelta64[us]")
            # A multiplier without a common factor visits every category before one comes back.
            names = pa.array(numbers % n_categories * 2_654_435_761 % (1 << 40)).cast(pa.string())
            x = np.random.default_rng(first).standard_normal(len(numbers), np.float32)
            writer.write_table(pa.table([pa.array(time), pa.array(x), names], schema=schema))
    return path


def repeat(part: Path, folder: Path, *, n_copies: int) -> Path:
    """Make a folder in which one file has many names; its bytes are on the disk once."""
    folder.mkdir(parents=True)
    for number in range(n_copies):
        (folder / f"{number:05}.parquet").hardlink_to(part)
    return folder


def run(case: Case, bench: Workbench, scale: float) -> Outcome:
    """Run a case; a job that is refused, fails or is killed is an outcome too."""
    job = case.make(bench, scale)
    job["runtime"]["max_memory_gb"] = MAX_MEMORY_GB
    source = Path(job["source"]["path"])
    files = [source] if source.is_file() else sorted(source.rglob("*.parquet"))
    n_bytes = sum(file.stat().st_size for file in files)
    try:
        cost = bench.run_job(job)
    except FailedError as error:
        return Outcome(case.name, n_bytes=n_bytes, error=str(error).strip().splitlines()[-1])
    costs = cost.job_seconds, cost.job_cpu_seconds, cost.peak_mb, cost.planned_mb
    return Outcome(case.name, cost.n_rows, n_bytes, *costs)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cases", description="Tables with `max_memory_gb: 1`.")
    names = [case.name for case in CASES]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="only these")
    parser.add_argument("--scale", type=float, default=1.0, help="part of the full size")
    parser.add_argument("--folder", type=Path, help="folder of tables and results, used again (default: a temporary one)")
    parser.add_argument("--out", type=Path, default=Path("data/bench/cases.json"), help="where the numbers go")
    parser.add_argument("--smoke", action="store_true", help="in this process")
    options = parser.parse_args(arguments)
    machine = Machine.here(PACKAGES)
    print_machine(PACKAGES)
    outcomes = []
    for case in [case for case in CASES if case.name in options.only]:
        print(f"\n{case.what}, scaled by {options.scale:g}", flush=True)
        with tempfile.TemporaryDirectory() as folder:  # one for each: they are large
            outcomes.append(run(case, Workbench(options.folder or Path(folder), options.smoke), options.scale))
        print(outcomes[-1], flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    told = {"machine": asdict(machine), "scale": options.scale, "cases": [asdict(outcome) for outcome in outcomes]}
    options.out.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return any(outcome.error for outcome in outcomes)


if __name__ == "__main__":
    sys.exit(main())
