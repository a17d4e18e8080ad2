"""Many series in any order: what entities, shuffled rows and the number of chunks cost.

    python -m benchmarks.series [--only chunks entities skewed] [--rows 2000000] [--peer [polars] [pandas]]
    python -m benchmarks.series --only chunks --chunks 16 100 1000
    python -m benchmarks.series --rows 1000000 3000000 10000000 30000000 --entities 1 1000 100000 2000000 --peer

The table is that of `benchmarks.whole_job` with an entity column. Every run is a separate process, local engine. For each
number of rows it prints one series in time order, and beside it: one series in more and more chunks, in order and shuffled;
many series, in order and shuffled; and series of which one holds half of the rows. `--peer` adds the scripts that experts
would write with polars and pandas, which hold all rows and scores in memory. With 2 M rows and both scripts, all of it takes
about ten minutes on two idle cores. Tables are made in pieces, 30 M rows in about 1 GB of memory and 12 GB of disk.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from benchmarks.jobs import MAX_MEMORY_GB, SIZE, job_of
from benchmarks.machine import print_machine
from benchmarks.measure import Cost, FailedError, median_of
from benchmarks.table import rearrange, shuffle
from benchmarks.whole_job import check_same_shape
from benchmarks.workbench import Measurement, Target, Workbench, times_the_cost, times_the_memory

PEERS = {"polars": "benchmarks.peer_job", "pandas": "benchmarks.pandas_job"}
LEAST_ROWS = 2 * SIZE
"""Rows of a series, on average, with which some of its training rows make a window."""
ENTITIES = (10, 1_000, 10_000, 100_000)
CHUNKS = (16, 101)


def measure(bench: Workbench) -> Iterator[Measurement]:
    """Yield shuffled rows beside sorted ones, and many series beside one."""
    n_rows = bench.pick(2_000_000, 3_000)
    entities, chunks = bench.pick(ENTITIES, (10, 100)), bench.pick(CHUNKS, (2,))
    plain, shuffled = bench.table(n_rows), shuffled_table(bench, n_rows)
    jobs = {"sorted": job(bench, plain), "shuffled": job(bench, shuffled)}
    for n in chunks:
        jobs[f"sorted, {n} chunks"] = job(bench, plain, chunk_rows=-(-n_rows // n))
        jobs[f"shuffled, {n} chunks"] = job(bench, shuffled, chunk_rows=-(-n_rows // n))
    for n in entities:
        jobs[f"{n:,} series"] = job(bench, series_table(bench, n_rows, n), entity="entity")
    found: dict[str, list[Cost]] = {name: [] for name in jobs}
    for _ in range(bench.pick(2, 1)):
        for name, it in jobs.items():
            found[name].append(bench.run_job(it))
    costs = {name: median_of(of_job) for name, of_job in found.items()}
    for of_chunks in ("", *(f", {n} chunks" for n in chunks)):
        what = f"{n_rows:,} rows, shuffled{of_chunks}"
        beside = f"sorted{of_chunks}"
        yield times_the_cost(what, costs[f"shuffled{of_chunks}"], beside, costs[beside], Target(at_most=1.6))
    for n in entities:
        what = f"{n_rows:,} rows of {n:,} series"
        yield times_the_cost(what, costs[f"{n:,} series"], "one series", costs["sorted"], Target(at_most=1.3))
    fewer, more = (f"{n:,} series" for n in entities[-2:])
    yield times_the_memory(f"memory of {more}", costs[more], fewer, costs[fewer], Target(at_most=1.1))


def shuffled_table(bench: Workbench, n_rows: int) -> Path:
    """Return the table of one series in random order."""
    return bench.made(f"shuffled-{n_rows}.parquet", lambda path: shuffle(bench.table(n_rows), path, n_rows=n_rows))


def series_table(bench: Workbench, n_rows: int, n_series: int, *, in_order: bool = True) -> Path:
    """Return the table of many series, one after the other, or with their rows in random order."""
    plain, entity = bench.table(n_rows), entities_of(n_series)

    def make(path: Path) -> object:
        if in_order:
            return rearrange(plain, path, places_by(entity(np.arange(n_rows))), entity=entity)
        return shuffle(plain, path, n_rows=n_rows, entity=entity)

    return bench.made(f"series-{n_rows}-{n_series}-{'sorted' if in_order else 'shuffled'}.parquet", make)


def entities_of(n_series: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return the entities of rows, given their numbers: series `i` has the rows whose number is `i` modulo `n_series`."""
    return lambda numbers: numbers % n_series


def places_by(entities: np.ndarray) -> np.ndarray:
    """Return the place of each row once rows are in the order of their entities, and of their numbers within each."""
    places = np.empty(len(entities), np.int64)
    places[np.argsort(entities, kind="stable")] = np.arange(len(entities))
    return places


def job(
    bench: Workbench,
    table: Path,
    *,
    entity: str | None = None,
    chunk_rows: int | None = None,
    max_memory_gb: float = MAX_MEMORY_GB,
) -> dict[str, object]:
    """Return the whole job over a table."""
    runtime = {"chunk_rows": chunk_rows, "max_memory_gb": max_memory_gb}
    return job_of(table, bench.result, columns={"entity": entity}, runtime=runtime)


@dataclass(frozen=True)
class Comparison:
    """A table, and what its rows cost as one series in order: all else stands beside it."""

    bench: Workbench
    n_rows: int
    options: argparse.Namespace
    first: Cost

    @classmethod
    def of(cls, bench: Workbench, n_rows: int, options: argparse.Namespace) -> Self:
        """Run the job over one series in order."""
        print(f"\n{n_rows:,} rows", flush=True)
        cost = bench.run_job(job(bench, bench.table(n_rows), max_memory_gb=options.max_memory_gb))
        return cls(bench, n_rows, options, show("one series, in order", cost, None))

    def by_chunks(self) -> None:
        """Compare shuffled rows with those in order, in as many chunks."""
        plain, shuffled = self.bench.table(self.n_rows), shuffled_table(self.bench, self.n_rows)
        for n_chunks in self.options.chunks:
            chunk_rows = -(-self.n_rows // n_chunks)
            in_order = self._show(f"one series, in order, {n_chunks:,} chunks", plain, chunk_rows=chunk_rows)
            name = f"one series, shuffled, {n_chunks:,} chunks (beside that)"
            self._show(name, shuffled, beside=in_order, chunk_rows=chunk_rows)

    def by_entities(self) -> None:
        """Compare many series, in order and shuffled, with one."""
        for n_series in self.options.entities:
            if self.n_rows < LEAST_ROWS * n_series:
                rows = f"{n_series:,} series of {self.n_rows / n_series:.0f} rows"
                print(f"  {rows}: too few rows for windows of {SIZE}; left out")
                continue
            table = series_table(self.bench, self.n_rows, n_series)
            self._show(f"{n_series:,} series, in order", table, entity="entity")
            table.unlink()
            table = series_table(self.bench, self.n_rows, n_series, in_order=False)
            ours = self._show(f"{n_series:,} series, shuffled", table, entity="entity")
            self._show_peers(table, ours)
            table.unlink()

    def skewed(self) -> None:
        """Compare series of which one holds half of the rows."""
        table = self.bench.made(f"skewed-{self.n_rows}.parquet", self._write_skewed)
        ours = self._show("1,000 series, one of half the rows, shuffled", table, entity="entity")
        self._show_peers(table, ours)
        table.unlink()

    def _write_skewed(self, path: Path) -> object:
        entity = lambda numbers: np.where(numbers % 2, numbers % 1_000, -1)  # noqa: E731
        return shuffle(self.bench.table(self.n_rows), path, n_rows=self.n_rows, entity=entity)

    def _show(self, name: str, table: Path, *, beside: Cost | None = None, **settings: Any) -> Cost:
        cost = self.bench.run_job(job(self.bench, table, max_memory_gb=self.options.max_memory_gb, **settings))
        return show(name, cost, beside or self.first)

    def _show_peers(self, table: Path, ours: Cost) -> None:
        for peer in PEERS if self.options.peer == [] else self.options.peer or ():
            show_peer(self.bench, peer, table, ours)


PARTS = {"chunks": Comparison.by_chunks, "entities": Comparison.by_entities, "skewed": Comparison.skewed}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.series", description="What many series and shuffled rows cost."
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="only these parts")
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000_000])
    parser.add_argument("--chunks", type=int, nargs="+", default=[16, 100, 1_000])
    parser.add_argument("--entities", type=int, nargs="*", default=[1_000, 100_000])
    parser.add_argument("--max-memory-gb", type=float, default=MAX_MEMORY_GB)
    parser.add_argument(
        "--peer",
        nargs="*",
        choices=PEERS,
        help="also run the scripts of these libraries on shuffled series; all if none is named",
    )
    parser.add_argument("--folder", type=Path, help="folder of tables and results (default: a temporary one)")
    parser.add_argument("--smoke", action="store_true", help="in this process: whether everything works")
    options = parser.parse_args(arguments)
    print_machine(["emberharmony", "numpy", "pyarrow", "polars", "pandas", "scikit-learn"])
    with tempfile.TemporaryDirectory() as folder:
        bench = Workbench(options.folder or Path(folder), options.smoke)
        for n_rows in options.rows:
            comparison = Comparison.of(bench, n_rows, options)
            for part in options.only:
                PARTS[part](comparison)


def show_peer(bench: Workbench, peer: str, table: Path, ours: Cost) -> None:
    """Run the script that an expert would write, with all of the table in memory."""
    name = f"the same by {peer} + scikit-learn (beside ours)"
    shutil.rmtree(bench.folder / "peer", ignore_errors=True)
    try:
        show(name, bench.run_module(PEERS[peer], str(table), str(bench.folder / "peer"), "--entity", "entity"), ours)
    except FailedError as failure:  # most likely out of memory
        print(f"  {name:<46} {str(failure).splitlines()[0]}", flush=True)
        return
    check_same_shape(bench.result, bench.folder / "peer")


def show(name: str, cost: Cost, first: Cost | None) -> Cost:
    """Print one line."""
    beside = f" {cost.seconds / first.seconds:6.2f} x {cost.cpu_seconds / first.cpu_seconds:6.2f} x CPU" if first else ""
    line = f"{cost.seconds:8.1f} s {cost.cpu_seconds:8.1f} s CPU {cost.peak_mb:8.0f} MB"
    print(f"  {name:<46} {line}{beside}", flush=True)
    return cost


if __name__ == "__main__":
    main()
