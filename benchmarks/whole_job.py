"""Compare the whole job with a polars + scikit-learn script; every run is a separate process, and the sides take turns.

    python -m benchmarks.whole_job [--rows 2000000] [--rounds 3] [--growth] [--spark PYTHON] [--folder FOLDER]

The table has 16 numeric, one string, one boolean and one time column. Both sides write 45 features, three splits, and windows
of 5 at strides 1, 3 and 5 with 32 components. `--growth` also runs our side on ten times the rows and prints the ratio of peak
memory. `--spark` adds Spark ML in local mode as a third side, with the Python of an environment that has Java and `pyspark`.
It takes minutes where ours takes seconds, so use fewer rows (`--rows 500000`).
"""

from __future__ import annotations

import argparse
import math
import shutil
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import yaml

from benchmarks.measure import Process, print_machine, run_process
from benchmarks.table import write_table

PEER = "polars + scikit-learn"
SPARK = "Spark ML, local mode"
OURS = "emberharmony, local engine"
FLOW = "emberharmony, Prefect flow on threads"
FOLDERS = {PEER: "peer", SPARK: "spark"}
ENGINES = {OURS: "local", FLOW: "threads"}


def main() -> None:
    parser = argparse.ArgumentParser(description="The whole job against a polars + scikit-learn script.")
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backend", default="numpy", help="backend of our side")
    parser.add_argument("--max-memory-gb", type=float, default=2.0, help="memory limit of our plan")
    parser.add_argument("--growth", action="store_true", help="also run our side on ten times the rows")
    parser.add_argument("--spark", metavar="PYTHON", help="also run Spark ML, with this Python")
    parser.add_argument("--folder", type=Path, help="folder of tables and results (default: a temporary one)")
    arguments = parser.parse_args()
    print_machine(["emberharmony", "prefect", "numpy", "polars", "scikit-learn", "pyarrow"])
    if arguments.folder is not None:
        compare(arguments.folder, arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), arguments)


def compare(folder: Path, arguments: argparse.Namespace) -> None:
    table = write_table(folder / f"{arguments.rows}.parquet", n_rows=arguments.rows)
    runs: dict[str, list[Process]] = {name: [] for name in (*ENGINES, PEER, *([SPARK] if arguments.spark else []))}
    for _ in range(arguments.rounds):
        for name in runs:
            runs[name].append(run_side(name, table, folder, arguments))
    for other in (PEER, SPARK) if arguments.spark else (PEER,):
        check_same_shape(folder / "result" / "ours", folder / "result" / FOLDERS[other])

    print(f"\nwhole job, {arguments.rows:,} rows; medians of {arguments.rounds} rounds, each run a separate process, in turns")
    ours = median(runs[OURS])
    for name, processes in runs.items():
        it = median(processes)
        against = "" if name == OURS else f"{it.seconds / ours.seconds:7.1f} x ours {it.peak_mb / ours.peak_mb:7.1f} x ours"
        print(f"  {name:<40} {it.seconds:8.1f} s {it.peak_mb:8.0f} MB {arguments.rows / it.seconds:12,.0f} rows/s {against}")
    if arguments.growth:
        table = write_table(folder / f"{10 * arguments.rows}.parquet", n_rows=10 * arguments.rows)
        it = run_side(OURS, table, folder, arguments)
        line = f"{it.seconds:8.1f} s {it.peak_mb:8.0f} MB {10 * arguments.rows / it.seconds:12,.0f} rows/s"
        print(f"  {'ten times the rows, local engine':<40} {line} {it.peak_mb / ours.peak_mb:7.2f} x the memory")


def run_side(name: str, table: Path, folder: Path, arguments: argparse.Namespace) -> Process:
    """Run one side into an empty folder."""
    result = folder / "result" / FOLDERS.get(name, "ours")
    shutil.rmtree(result, ignore_errors=True)
    result.parent.mkdir(exist_ok=True)
    if name == PEER:
        command = [sys.executable, "-m", "benchmarks.peer_job", str(table), str(result)]
    elif name == SPARK:
        script = Path(__file__).with_name("spark_job.py")
        command = [shutil.which(arguments.spark) or arguments.spark, str(script), str(table), str(result)]
    else:
        runtime = {"engine": ENGINES[name], "backend": arguments.backend, "max_memory_gb": arguments.max_memory_gb}
        job = {
            "source": {"type": "parquet", "path": str(table)},
            "columns": {"time": "time"},
            "sink": {"type": "parquet", "path": str(result)},
            "runtime": runtime,
        }
        config = folder / "job.yaml"
        config.write_text(yaml.safe_dump(job))
        command = [str(Path(sys.executable).with_name("emberharmony")), "run", str(config), "--quiet"]
    process = run_process(command, log=folder / "log.txt")
    # Spark's memory is unknown: its Python starts a JVM and does not wait for it.
    return replace(process, peak_mb=math.nan) if name == SPARK else process


def check_same_shape(ours: Path, theirs: Path) -> None:
    """Exit unless both sides wrote the same number of rows: a side that does less must not count as faster."""
    for part in ("features/split=*", "windows/stride=*/split=*"):
        for folder in sorted(theirs.glob(part)):
            name = folder.relative_to(theirs)
            if n_rows(ours / name) != n_rows(folder):
                sys.exit(f"{name}: ours has {n_rows(ours / name)} rows, the peer's {n_rows(folder)}.")


def n_rows(folder: Path) -> int:
    return sum(pq.read_metadata(part).num_rows for part in folder.glob("*.parquet"))


def median(processes: list[Process]) -> Process:
    return Process(statistics.median(p.seconds for p in processes), statistics.median(p.peak_mb for p in processes))


if __name__ == "__main__":
    main()
