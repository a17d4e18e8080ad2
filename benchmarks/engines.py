"""Wall time of the whole job on every engine, Prefect's share of it, and what a second worker brings.

    python -m benchmarks.engines                         # a million rows; minutes
    python -m benchmarks.engines --chunks 20000          # the scheduler alone: task runs of no work, time and memory of each

Every run is a process of its own, with one compute thread for each worker. Start-up (imports, Prefect's server, processes)
is in the wall time of the process, and shown apart from the job's own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

RUN = """
import json, sys, time
from flows.config import parse_job
from flows.run import run
job = parse_job(json.loads(sys.argv[1]))
outcome = run(job)
print(json.dumps({"seconds": outcome.seconds, "peak": outcome.peak_bytes}))
"""


def make_table(path: Path, n_rows: int) -> None:
    rng = np.random.default_rng(0)
    columns = {f"x{i}": rng.normal(size=n_rows).astype(np.float32) for i in range(16)}
    columns["t"] = pa.array(np.arange(n_rows) * 1_000_000 + 1_704_067_200_000_000, pa.timestamp("us", tz="UTC"))
    columns["kind"] = pa.array(rng.choice(["a", "b", "c", "d"], n_rows))
    pq.write_table(pa.table(columns), path, row_group_size=65_536)


def run_job(table: Path, folder: Path, **runtime: object) -> tuple[float, float, float]:
    """Wall time of the process, of the job in it, and the peak MiB of that process."""
    sink = folder / f"out-{time.monotonic_ns()}"
    job = {
        "source": {"path": str(table)},
        "sink": {"path": str(sink)},
        "columns": {"time": "t"},
        "runtime": {"backend": "numpy", "chunk_rows": 65_536, "max_memory_gb": 8, "threads": 1} | runtime,
    }
    began = time.perf_counter()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(job)], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    wall = time.perf_counter() - began
    told = json.loads(done.stdout.splitlines()[-1])
    subprocess.run(["rm", "-rf", str(sink)], check=True)
    return wall, told["seconds"], told["peak"] / 2**20


def compare(n_rows: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = folder / "table.parquet"
        make_table(table, n_rows)
        cases = [
            ("none, 1 worker", {"engine": "none", "workers": 1}),
            ("none, 2 workers", {"engine": "none", "workers": 2}),
            ("threads, 1 worker", {"engine": "threads", "workers": 1}),
            ("threads, 2 workers", {"engine": "threads", "workers": 2}),
            ("threads, 2, by stage", {"engine": "threads", "workers": 2, "granularity": "stage"}),
            ("processes, 1 worker", {"engine": "processes", "workers": 1}),
            ("processes, 2 workers", {"engine": "processes", "workers": 2}),
            ("dask, 1 worker", {"engine": "dask", "workers": 1}),
            ("dask, 2 workers", {"engine": "dask", "workers": 2}),
        ]
        found: dict[str, tuple[float, float, float]] = {}
        for _ in range(2):  # turn about; the better of two
            for label, runtime in cases:
                result = run_job(table, folder, **{"granularity": "chunk"} | runtime)
                found[label] = min(found.get(label, result), result)
    chunks = -(-n_rows // 65_536)
    print(f"\n{n_rows:,} rows, {chunks} chunks, {3 * chunks} task runs; seconds")
    print(f"{'engine':<22}{'process':>9}{'job':>9}{'start, stop':>13}{'peak MiB':>10}")
    for label, (wall, seconds, peak) in found.items():
        print(f"{label:<22}{wall:>9.1f}{seconds:>9.1f}{wall - seconds:>13.1f}{peak:>10.0f}")
    for workers in (1, 2):
        label = f"{workers} worker{'s' if workers > 1 else ''}"
        plain, threads = found[f"none, {label}"][1], found[f"threads, {label}"][1]
        print(f"Prefect's share of the job, {label} on threads: {(threads - plain) / threads:.1%}")
    for engine in ("none", "processes", "dask"):
        one, two = found[f"{engine}, 1 worker"][1], found[f"{engine}, 2 workers"][1]
        print(f"one worker to two, {engine}: {one / two:.2f} x")


def schedule(n_chunks: int) -> None:
    """Task runs of no work."""
    import psutil
    from prefect import flow
    from prefect.task_runners import ThreadPoolTaskRunner

    import tasks.stages
    from emberharmony.pipeline.run import RunRef
    from flows.engine import PrefectEngine
    from flows.server import server_if_needed

    tasks.stages.run_chunk = lambda *_: None  # type: ignore[assignment]

    @flow
    def no_work() -> None:
        with ThreadPoolTaskRunner(max_workers=2) as runner:
            engine = PrefectEngine("threads", workers=2, granularity="chunk", runner=runner)
            began = time.perf_counter()
            for n_done, _ in enumerate(engine.each("profile", RunRef("nowhere"), range(n_chunks)), start=1):
                if n_done % max(1, n_chunks // 10) == 0:
                    each_ms = (time.perf_counter() - began) / n_done * 1e3
                    resident = psutil.Process().memory_info().rss / 2**20
                    print(f"{n_done:>8,} task runs: {each_ms:5.1f} ms each, {resident:5.0f} MiB resident", flush=True)

    with server_if_needed():
        no_work()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--chunks", type=int, help="only the scheduler, over so many chunks of no work")
    options = parser.parse_args()
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("prefect", "dask", "numpy", "pyarrow"))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}")
    if options.chunks:
        for name in ("PREFECT_LOGGING_LEVEL", "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"):
            os.environ.setdefault(name, "ERROR")
        schedule(options.chunks)
    else:
        compare(options.rows)


if __name__ == "__main__":
    main()
