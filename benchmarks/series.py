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
import sys
import tempfile
from pathlib import Path

import numpy as np
import yaml

from benchmarks.measure import Process, print_machine, run_process
from benchmarks.peer_job import SIZE
from benchmarks.table import rearrange, write_table
from benchmarks.whole_job import check_same_shape

PEERS = {"polars": "benchmarks.peer_job", "pandas": "benchmarks.pandas_job"}
LEAST_ROWS = 2 * SIZE
"""Rows of a series, on average, with which some of its training rows make a window."""


def main() -> None:
    parser = argparse.ArgumentParser(description="What many series and shuffled rows cost.")
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000_000])
    parser.add_argument("--chunks", type=int, nargs="+", default=[16, 100, 1_000])
    parser.add_argument("--entities", type=int, nargs="*", default=[1_000, 100_000])
    parser.add_argument("--max-memory-gb", type=float, default=2.0)
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
        for n_rows in arguments.rows:
            compare(arguments.folder or Path(folder), n_rows, arguments)


def compare(folder: Path, n_rows: int, arguments: argparse.Namespace) -> None:
    """Print what each table costs beside the first."""
    print(f"\n{n_rows:,} rows", flush=True)
    plain, arranged = write_table(folder / f"{n_rows}.parquet", n_rows=n_rows), folder / "arranged.parquet"
    random = np.random.default_rng(1).permutation(n_rows)
    first = show("one series, in order", run(plain, folder, arguments), None)
    rearrange(plain, arranged, random)
    for n_chunks in arguments.chunks:
        in_order = show(
            f"one series, in order, {n_chunks:,} chunks",
            run(plain, folder, arguments, chunks=n_chunks, rows=n_rows),
            first,
        )
        name = f"one series, shuffled, {n_chunks:,} chunks (beside that)"
        show(name, run(arranged, folder, arguments, chunks=n_chunks, rows=n_rows), in_order)
    for n_entities in arguments.entities:
        if n_rows < LEAST_ROWS * n_entities:
            print(f"  {n_entities:,} series of {n_rows / n_entities:.0f} rows: too few rows for windows of {SIZE}; left out")
            continue

        def entity(numbers: np.ndarray, n: int = n_entities) -> np.ndarray:
            return numbers % n

        rearrange(plain, arranged, places_by(entity(np.arange(n_rows))), entity=entity)
        show(f"{n_entities:,} series, in order", run(arranged, folder, arguments, entity="entity"), first)
        rearrange(plain, arranged, random, entity=entity)
        ours = show(f"{n_entities:,} series, shuffled", run(arranged, folder, arguments, entity="entity"), first)
        for peer in PEERS if arguments.peer == [] else arguments.peer or ():
            name = f"the same by {peer} + scikit-learn (beside ours)"
            try:
                show(name, run_peer(peer, arranged, folder), ours)
            except SystemExit as failure:  # most likely out of memory
                print(f"  {name:<46} {str(failure).splitlines()[0]}", flush=True)
                continue
            check_same_shape(folder / "result", folder / "peer")
    rearrange(plain, arranged, random, entity=lambda numbers: np.where(numbers % 2, numbers % 1_000, -1))
    show("1,000 series, one of half the rows, shuffled", run(arranged, folder, arguments, entity="entity"), first)


def places_by(entities: np.ndarray) -> np.ndarray:
    """Return the place of each row once rows are in the order of their entities, and of their numbers within each."""
    places = np.empty(len(entities), np.int64)
    places[np.argsort(entities, kind="stable")] = np.arange(len(entities))
    return places


def run(
    table: Path, folder: Path, arguments: argparse.Namespace, *, entity: str | None = None, chunks: int = 0, rows: int = 0
) -> Process:
    """Run the whole job into an empty folder."""
    result = folder / "result"
    shutil.rmtree(result, ignore_errors=True)
    runtime = {"engine": "local", "max_memory_gb": arguments.max_memory_gb}
    job = {
        "source": {"path": str(table)},
        "sink": {"path": str(result)},
        "columns": {"time": "time"} | ({"entity": entity} if entity else {}),
        "runtime": runtime | ({"chunk_rows": -(-rows // chunks)} if chunks else {}),
    }
    config = folder / "job.yaml"
    config.write_text(yaml.safe_dump(job))
    command = [str(Path(sys.executable).with_name("emberharmony")), "run", str(config), "--quiet"]
    return run_process(command, log=folder / "log.txt")


def run_peer(peer: str, table: Path, folder: Path) -> Process:
    """Run the script that an expert would write, with all of the table in memory."""
    result = folder / "peer"
    shutil.rmtree(result, ignore_errors=True)
    command = [sys.executable, "-m", PEERS[peer], str(table), str(result), "--entity", "entity"]
    return run_process(command, log=folder / "log.txt")


def show(name: str, process: Process, first: Process | None) -> Process:
    """Print one line."""
    beside = f" {process.seconds / first.seconds:6.2f} x {process.cpu_seconds / first.cpu_seconds:6.2f} x CPU" if first else ""
    line = f"{process.seconds:8.1f} s {process.cpu_seconds:8.1f} s CPU {process.peak_mb:8.0f} MB"
    print(f"  {name:<46} {line}{beside}", flush=True)
    return process


if __name__ == "__main__":
    main()
