"""Run every benchmark, and print one table: what, ours, the other side, their ratio, and the target.

    python -m benchmarks [NAME ...] [--smoke] [--folder FOLDER] [--out data/bench]

All together take about ten minutes on two idle cores; NAMEs choose some of them. Two ratios stand side by side: of wall
seconds and, under CPU, of CPU seconds, which hold on a busy machine too. `make bench` calls this.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import Machine
from benchmarks.registry import BENCHMARKS, Benchmark
from benchmarks.results import Results
from benchmarks.workbench import Measurement, SkippedError, Workbench

PACKAGES = [
    "emberharmony", "numpy", "pyarrow", "pandas", "polars", "duckdb", "scikit-learn", "scipy", "prefect", "torch", "obstore",
]  # fmt: skip


def run(benchmarks: Sequence[Benchmark], bench: Workbench) -> Results:
    """Run benchmarks one after the other; one that fails does not keep the others from running."""
    machine, began = Machine.here(PACKAGES), time.perf_counter()
    rows: list[Measurement] = []
    left_out: dict[str, str] = {}
    failed: dict[str, str] = {}
    for benchmark in benchmarks:
        if bench.smoke and not benchmark.in_smoke:
            left_out[benchmark.name] = "not part of a smoke run"
            continue
        try:
            for row in benchmark.measure(bench):
                print(f"{time.perf_counter() - began:6.0f} s  {row.what}: {row.ratio:.2f}", file=sys.stderr, flush=True)
                rows.append(row)
        except SkippedError as reason:
            left_out[benchmark.name] = str(reason)
        except Exception as error:  # noqa: BLE001 - the other rows are worth having
            failed[benchmark.name] = f"{type(error).__name__}: {error}"
    return Results(machine, rows, left_out, failed, time.perf_counter() - began)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Run every benchmark, and print one table.")
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these of {', '.join(names)}")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, in this process: whether everything works")
    parser.add_argument("--folder", type=Path, help="folder of tables and results, used again (default: a temporary one)")
    parser.add_argument("--out", type=Path, default=Path("data/bench"), help="where bench.json and bench.svg go")
    options = parser.parse_args(arguments)
    if unknown := sorted({*options.names} - {*names}):
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(names)}")
    chosen = [benchmark for benchmark in BENCHMARKS if not options.names or benchmark.name in options.names]
    with tempfile.TemporaryDirectory() as folder:
        results = run(chosen, Workbench(options.folder or Path(folder), smoke=options.smoke))
    print(f"\n{results.machine}\n\n{results.table()}\n")
    for name, reason in (results.left_out | results.failed).items():
        print(f"{'left out' if name in results.left_out else 'FAILED'}: {name}: {reason}")
    written = ", ".join(map(str, results.write(options.out)))
    print(f"{results.seconds:.0f} s; wrote {written}")
    return bool(results.failed)


if __name__ == "__main__":
    sys.exit(main())
