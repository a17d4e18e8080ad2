"""What ten times the rows or files cost in memory and in time per row, and how long a small job takes from the shell.

python -m benchmarks.growth [--rows 600000]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from benchmarks.jobs import job_of
from benchmarks.machine import print_machine
from benchmarks.measure import Cost, run_process
from benchmarks.series import shuffled_table
from benchmarks.table import write_files
from benchmarks.workbench import Measurement, Target, Workbench, times_the_cost, times_the_memory

ROWS = 600_000
FILES = 100
SHELL_SECONDS = 1.5


def measure(bench: Workbench, *, n_rows: int = ROWS) -> Iterator[Measurement]:
    """Yield peak memory and time per row of ten times the rows, sorted and shuffled, and memory of ten times the files."""
    n_rows, factor = bench.pick(n_rows, 2_000), bench.pick(10, 2)
    few, many = f"{n_rows:,} rows", f"{factor * n_rows:,} rows"
    for name, make in {"sorted": bench.table, "shuffled": lambda n: shuffled_table(bench, n)}.items():
        small, large = (bench.run_job(job_of(make(n), bench.result)) for n in (n_rows, factor * n_rows))
        yield times_the_memory(f"memory of {many}, {name}", large, few, small, Target(at_most=1.1))
        per_row = Cost(large.job_seconds / factor, large.job_cpu_seconds / factor)
        beside = Cost(small.job_seconds, small.job_cpu_seconds)
        yield times_the_cost(f"time of every {few} of {many}, {name}", per_row, few, beside, Target(at_most=1.1))
    n_files = bench.pick(FILES, 2)
    small, large = (bench.run_job(job_of(files_table(bench, n_rows, n), bench.result)) for n in (n_files, 10 * n_files))
    yield times_the_memory(
        f"memory of {few} in {10 * n_files:,} files", large, f"{n_files:,} files", small, Target(at_most=1.1)
    )
    yield from_the_shell(bench)


def files_table(bench: Workbench, n_rows: int, n_files: int) -> Path:
    """Return a folder with the rows of the benchmarks' table."""
    name = f"files-{n_rows}-{n_files}"
    return bench.made(name, lambda path: write_files(bench.table(n_rows), path, n_files=n_files))


def from_the_shell(bench: Workbench) -> Measurement:
    """Return the seconds of a small job as a user waits for it: the command, with nothing configured."""
    n_rows = bench.pick(20_000, 1_000)
    job = job_of(bench.table(n_rows), bench.folder / "small")
    config = bench.folder / "job.yaml"
    config.write_text(yaml.safe_dump({name: job[name] for name in ("source", "sink", "columns")}))
    command = [sys.executable, "-m", "emberharmony", "run", str(config), "--overwrite", "--quiet"]
    runs = [
        bench.run_job(job) if bench.smoke else run_process(command, log=bench.folder / "log.txt")
        for _ in range(bench.pick(5, 1))
    ]
    best = min(runs, key=lambda cost: cost.seconds)
    what = f"{n_rows:,} rows from the shell, the best of {len(runs)}"
    return times_the_cost(what, best, "the bound", Cost(SHELL_SECONDS, SHELL_SECONDS), Target(at_most=1.0))


def main() -> None:
    parser = argparse.ArgumentParser(description="What ten times the rows or files cost.")
    parser.add_argument("--rows", type=int, default=ROWS)
    arguments = parser.parse_args()
    print_machine(["emberharmony", "numpy", "pyarrow"])
    with tempfile.TemporaryDirectory() as folder:
        for row in measure(Workbench(Path(folder)), n_rows=arguments.rows):
            print(f"{row.what}: {row.ours}, {row.beside}: {row.other}, {row.ratio:.2f} x", flush=True)


if __name__ == "__main__":
    main()
