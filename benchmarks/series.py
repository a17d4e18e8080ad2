"""Many series in any order: what entities, shuffled rows and the number of chunks cost.

    python -m benchmarks.series [--rows 2000000] [--chunks 16 100 1000] [--entities 1000 100000] [--peer]

The table is that of `benchmarks.whole_job` with an entity column. Every run is a separate process, local engine. For each
number of rows it prints: one series in time order, the same rows shuffled, then many series, sorted and shuffled; with the
shuffled table in more and more chunks, and with one entity that holds half of the rows.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from benchmarks.measure import Process, print_machine, run_process
from benchmarks.table import ROW_GROUP_ROWS, write_table
from benchmarks.whole_job import check_same_shape


def main() -> None:
    parser = argparse.ArgumentParser(description="What many series and shuffled rows cost.")
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000_000])
    parser.add_argument("--chunks", type=int, nargs="+", default=[16, 100, 1_000])
    parser.add_argument("--entities", type=int, nargs="+", default=[1_000, 100_000])
    parser.add_argument("--max-memory-gb", type=float, default=2.0)
    parser.add_argument("--peer", action="store_true", help="also run a polars + scikit-learn script on the shuffled series")
    parser.add_argument("--folder", type=Path, help="folder of tables and results (default: a temporary one)")
    arguments = parser.parse_args()
    print_machine(["emberharmony", "numpy", "pyarrow"])
    with tempfile.TemporaryDirectory() as folder:
        for n_rows in arguments.rows:
            compare(arguments.folder or Path(folder), n_rows, arguments)


def compare(folder: Path, n_rows: int, arguments: argparse.Namespace) -> None:
    """Print what each table costs beside the first."""
    print(f"\n{n_rows:,} rows", flush=True)
    plain = write_table(folder / f"{n_rows}.parquet", n_rows=n_rows)
    table = pq.read_table(plain)
    first = show("one series, in order", run(plain, folder, arguments), None)
    shuffled = write(table.take(random_order(n_rows)), folder / "shuffled.parquet")
    for n_chunks in arguments.chunks:
        show(
            f"one series, shuffled, {n_chunks:,} chunks", run(shuffled, folder, arguments, chunks=n_chunks, rows=n_rows), first
        )
    for n_entities in arguments.entities:
        entities = np.arange(n_rows) % n_entities
        of_series = write(
            with_entity(table, entities).sort_by([("entity", "ascending"), ("time", "ascending")]), folder / "s.parquet"
        )
        show(f"{n_entities:,} series, in order", run(of_series, folder, arguments, entity="entity"), first)
        path = write(with_entity(table, entities).take(random_order(n_rows)), folder / "shuffled.parquet")
        ours = show(f"{n_entities:,} series, shuffled", run(path, folder, arguments, entity="entity"), first)
        if arguments.peer:
            show("the same by polars + scikit-learn (beside ours)", run_peer(path, folder), ours)
            check_same_shape(folder / "result", folder / "peer")
    entities = np.where(np.arange(n_rows) % 2, np.arange(n_rows) % 1_000, -1)
    path = write(with_entity(table, entities).take(random_order(n_rows)), folder / "shuffled.parquet")
    show("1,000 series, one of half the rows, shuffled", run(path, folder, arguments, entity="entity"), first)


def random_order(n_rows: int) -> pa.Array:
    """Return the places of rows in a random order."""
    return pa.array(np.random.default_rng(1).permutation(n_rows))


def with_entity(table: pa.Table, entities: np.ndarray) -> pa.Table:
    """Return the table with a text that names each row's entity."""
    return table.append_column("entity", pa.array(entities).cast(pa.string()))


def write(table: pa.Table, path: Path) -> Path:
    """Write a table as `benchmarks.table` does."""
    pq.write_table(table, path, compression="zstd", compression_level=1, row_group_size=ROW_GROUP_ROWS)
    return path


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


def run_peer(table: Path, folder: Path) -> Process:
    """Run the script that an expert would write, with all of the table in memory."""
    result = folder / "peer"
    shutil.rmtree(result, ignore_errors=True)
    command = [sys.executable, "-m", "benchmarks.peer_job", str(table), str(result), "--entity", "entity"]
    return run_process(command, log=folder / "log.txt")


def show(name: str, process: Process, first: Process | None) -> Process:
    """Print one line."""
    beside = f" {process.seconds / first.seconds:6.2f} x {process.cpu_seconds / first.cpu_seconds:6.2f} x CPU" if first else ""
    line = f"{process.seconds:8.1f} s {process.cpu_seconds:8.1f} s CPU {process.peak_mb:8.0f} MB"
    print(f"  {name:<46} {line}{beside}", flush=True)
    return process


if __name__ == "__main__":
    main()
