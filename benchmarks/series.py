"""Many series in any order: what entities, shuffled rows and the number of chunks cost.

    python -m benchmarks.series [--rows 2000000] [--chunks 16 100 1000] [--entities 1000 100000] [--peer [polars] [pandas]]
    python -m benchmarks.series --rows 1000000 3000000 10000000 30000000 --entities 1 1000 100000 2000000 --peer

The table is that of `benchmarks.whole_job` with an entity column. Every run is a separate process, local engine. For each
number of rows it prints: one series in time order, the same rows shuffled, then many series, sorted and shuffled; with the
shuffled table in more and more chunks, and with one entity that holds half of the rows. Tables are made in pieces, 30 M rows
in about 1 GB of memory and 12 GB of disk. The scripts of polars and pandas hold all rows and scores in memory.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.jobs import MAX_MEMORY_GB, SIZE, JobCost, job_of
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


def main() -> None:
    parser = argparse.ArgumentParser(description="What many series and shuffled rows cost.")
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000_000])
    parser.add_argument("--chunks", type=int, nargs="+", default=[16, 100, 1_000])
    parser.add_argument("--entities", type=int, nargs="*", default=[1_000, 100_000])
    parser.add_argument("--max-memory-gb", type=float, default=MAX_MEMORY_GB)
    parser.add_argument(
        "--peer",
        nargs="*",
        choices=PEERS,
        help="also run the scripts of these libraries on the shuffled series; all if none is named",
    )
    parser.add_argument("--folder", type=Path, help="folder of tables and results (default: a temporary one)")
    arguments = parser.parse_args()
    print_machine(["emberharmony", "numpy", "pyarrow"])
    with tempfile.TemporaryDirectory() as folder:
        bench = Workbench(arguments.folder or Path(folder))
        for n_rows in arguments.rows:
            compare(bench, n_rows, arguments)


def compare(bench: Workbench, n_rows: int, arguments: argparse.Namespace) -> None:
    """Print what each table costs beside the first."""

    def run(table: Path, **settings: object) -> JobCost:
        return bench.run_job(job(bench, table, max_memory_gb=arguments.max_memory_gb, **settings))

    print(f"\n{n_rows:,} rows", flush=True)
    plain, shuffled = bench.table(n_rows), shuffled_table(bench, n_rows)
    first = show("one series, in order", run(plain), None)
    for n_chunks in arguments.chunks:
        chunk_rows = -(-n_rows // n_chunks)
        in_order = show(f"one series, in order, {n_chunks:,} chunks", run(plain, chunk_rows=chunk_rows), first)
        name = f"one series, shuffled, {n_chunks:,} chunks (beside that)"
        show(name, run(shuffled, chunk_rows=chunk_rows), in_order)
    for n_series in arguments.entities:
        if n_rows < LEAST_ROWS * n_series:
            print(f"  {n_series:,} series of {n_rows / n_series:.0f} rows: too few rows for windows of {SIZE}; left out")
            continue
        table = series_table(bench, n_rows, n_series)
        show(f"{n_series:,} series, in order", run(table, entity="entity"), first)
        table.unlink()
        table = series_table(bench, n_rows, n_series, in_order=False)
        ours = show(f"{n_series:,} series, shuffled", run(table, entity="entity"), first)
        for peer in PEERS if arguments.peer == [] else arguments.peer or ():
            show_peer(bench, peer, table, ours)
        table.unlink()
    uneven = bench.folder / "uneven.parquet"
    shuffle(plain, uneven, n_rows=n_rows, entity=lambda numbers: np.where(numbers % 2, numbers % 1_000, -1))
    show("1,000 series, one of half the rows, shuffled", run(uneven, entity="entity"), first)


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
