"""Measure the wall time of the whole job on every engine, Prefect's share of it, and the speed-up by a second worker.

    python -m benchmarks.engines                         # a million rows; takes minutes
    python -m benchmarks.engines --minute                # Prefect's share of a one-minute job on threads; seven minutes
    python -m benchmarks.engines --scaling               # a second worker process in a one-minute job; six minutes
    python -m benchmarks.engines --chunks 20000          # the scheduler alone: time and memory per empty task run

Every run is a separate process with one compute thread per worker. The wall time of the process includes the start (imports,
Prefect's server, worker processes) and is shown beside the time of the job itself. CPU time includes child processes; on a
machine that others use as well it says more than wall time. A long job writes gigabytes: if the disk is slower than the cores,
set `TMPDIR=/dev/shm` to write to memory.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

RUN = """
import json, sys, time
from flows.config.job import parse_job
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


@dataclass(frozen=True)
class Run:
    """Times and peak memory of one run."""

    wall: float  # seconds of the process
    seconds: float  # seconds of the job within it
    cpu: float
    peak_mib: float


def run_job(table: Path, folder: Path, **runtime: object) -> Run:
    sink = folder / f"out-{time.monotonic_ns()}"
    job = {
        "source": {"path": str(table)},
        "sink": {"path": str(sink)},
        "columns": {"time": "t"},
        "runtime": {"backend": "numpy", "chunk_rows": 65_536, "max_memory_gb": 8, "threads": 1} | runtime,
    }
    began, cpu = time.perf_counter(), _cpu_of_children()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(job)], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    wall, cpu = time.perf_counter() - began, _cpu_of_children() - cpu
    result = json.loads(done.stdout.splitlines()[-1])
    shutil.rmtree(sink)
    return Run(wall, result["seconds"], cpu, result["peak"] / 2**20)


def _cpu_of_children() -> float:
    """CPU seconds of all finished child processes and of the descendants that they waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def compare(n_rows: int) -> None:
    engines = ["local", "threads", "processes", "dask"] + (["ray"] if importlib.util.find_spec("ray") else [])
    cases = {f"{engine}, {n} worker{'s' * (n > 1)}": {"engine": engine, "workers": n} for engine in engines for n in (1, 2)}
    cases["threads, 2, by stage"] = {"engine": "threads", "workers": 2, "granularity": "stage"}
    found: dict[str, Run] = {}
    together = float("inf")
    with tempfile.TemporaryDirectory() as name:
        table = Path(name) / "table.parquet"
        make_table(table, n_rows)
        for _ in range(2):  # the cases take turns; the better of two runs counts
            for label, runtime in cases.items():
                result = run_job(table, Path(name), **{"granularity": "chunk"} | runtime)
                found[label] = min(found.get(label, result), result, key=lambda run: run.wall)
            with ThreadPoolExecutor(2) as pool:
                pair = list(pool.map(lambda _: run_job(table, Path(name), engine="local", workers=1), range(2)))
            together = min(together, max(run.seconds for run in pair))
    chunks = -(-n_rows // 65_536)
    print(f"\n{n_rows:,} rows, {chunks} chunks, up to {3 * chunks} task runs; seconds")
    print(f"{'engine':<22}{'process':>9}{'job':>9}{'start, stop':>13}{'CPU':>9}{'peak MiB':>10}")
    for label, run in found.items():
        around = run.wall - run.seconds
        print(f"{label:<22}{run.wall:>9.1f}{run.seconds:>9.1f}{around:>13.1f}{run.cpu:>9.1f}{run.peak_mib:>10.0f}")
    for workers in (1, 2):
        label = f"{workers} worker{'s' * (workers > 1)}"
        plain, threads = found[f"local, {label}"].seconds, found[f"threads, {label}"].seconds
        print(f"Prefect's share of the job, {label} on threads: {(threads - plain) / threads:.1%}")
    for engine in engines:
        one, two = found[f"{engine}, 1 worker"].seconds, found[f"{engine}, 2 workers"].seconds
        print(f"one worker to two, {engine}: {one / two:.2f} x")
    alone = found["local, 1 worker"].seconds
    print(f"upper limit on these cores, two such jobs at once against one: {2 * alone / together:.2f} x")


def minute(workers: int) -> None:
    """Print Prefect's share of a one-minute job on threads."""
    plain, threads = _jobs_of_a_minute([("local", workers), ("threads", workers)])
    print("Prefect's share on threads:")
    job, process, cpu = (1 - getattr(plain, name) / getattr(threads, name) for name in ("seconds", "wall", "cpu"))
    print(f"{job:.1%} of the job's wall time, {process:.1%} of the process's, {cpu:.1%} of its CPU time")


def scaling() -> None:
    """Print the speed-up by a second worker process in a job that takes one process a minute."""
    one, two = _jobs_of_a_minute([("processes", 1), ("processes", 2)])
    print(f"one worker process to two: {one.seconds / two.seconds:.2f} x (job), {one.wall / two.wall:.2f} x (process)")


def _jobs_of_a_minute(sides: Sequence[tuple[str, int]], *, rounds: int = 3) -> list[Run]:
    """The median run of each side (an engine and its number of workers) with one Prefect server for all runs.

    The table has as many rows as the local engine processes in a minute with the first side's workers.
    """
    import psutil

    from deploy.local import ROOT, settings_of
    from flows.prefect.server import server_if_needed

    unused = {"PREFECT_SERVER_API_AUTH_STRING": "unused"}  # a server of this process needs no password
    os.environ.update(settings_of(ROOT / "deploy/server.env", os.environ | unused))
    with tempfile.TemporaryDirectory() as name, server_if_needed():
        from prefect.settings import PREFECT_API_URL

        os.environ["PREFECT_API_URL"] = str(PREFECT_API_URL.value())
        table = Path(name) / "table.parquet"
        servers = psutil.Process().children()  # empty if the environment names a server elsewhere

        def job(engine: str, workers: int) -> Run:  # all other settings at their defaults
            return run_job(table, Path(name), engine=engine, workers=workers, chunk_rows=None, granularity="auto")

        def cpu_of_server() -> float:
            return sum(sum(server.cpu_times()[:2]) for server in servers)

        make_table(table, 1_000_000)
        tried = job("local", sides[0][1])
        n_rows = round(60 / tried.seconds) * 1_000_000
        make_table(table, n_rows)
        print(f"{n_rows:,} rows, {-(-n_rows // 131_072)} chunks", flush=True)
        found: list[list[Run]] = [[] for _ in sides]
        for _ in range(rounds):  # the sides take turns
            for runs, (engine, workers) in zip(found, sides, strict=True):
                before = cpu_of_server()
                run = job(engine, workers)
                runs.append(run)
                print(f"{f'{engine}, {workers}':<14}{run.seconds:6.1f} s, {run.cpu:6.1f} s of CPU, ", end="")
                print(f"{cpu_of_server() - before:4.1f} s of CPU of the server", flush=True)
    return [sorted(runs, key=lambda run: run.seconds)[rounds // 2] for runs in found]


def schedule(n_chunks: int) -> None:
    """Measure task runs that do nothing."""
    import psutil
    from prefect import flow
    from prefect.task_runners import ThreadPoolTaskRunner

    import tasks.stages
    from emberharmony.pipeline.run import RunRef
    from emberharmony.pipeline.stages import PROFILE
    from flows.engines.task_runs import PrefectEngine
    from flows.prefect.server import server_if_needed

    tasks.stages.run_stage = lambda *_: None  # type: ignore[assignment]

    @flow
    def no_work() -> None:
        with ThreadPoolTaskRunner(max_workers=2) as runner:
            engine = PrefectEngine("threads", workers=2, granularity="chunk", runner=runner, task_run_s=0)
            began = time.perf_counter()
            for n_done, _ in enumerate(engine.map(PROFILE, RunRef("nowhere"), range(n_chunks)), start=1):
                if n_done % max(1, n_chunks // 10) == 0:
                    each_ms = (time.perf_counter() - began) / n_done * 1e3
                    resident = psutil.Process().memory_info().rss / 2**20
                    print(f"{n_done:>8,} task runs: {each_ms:5.1f} ms each, {resident:5.0f} MiB resident", flush=True)

    with server_if_needed():
        no_work()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--minute", action="store_true", help="only Prefect's share of a one-minute job")
    parser.add_argument("--scaling", action="store_true", help="only one worker process against two, in a one-minute job")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="workers for --minute (default: one per core)")
    parser.add_argument("--chunks", type=int, help="only the scheduler, over this many empty chunks")
    options = parser.parse_args()
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("prefect", "dask", "numpy", "pyarrow"))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}")
    if options.chunks:
        for name in ("PREFECT_LOGGING_LEVEL", "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"):
            os.environ.setdefault(name, "ERROR")
        schedule(options.chunks)
    elif options.minute:
        minute(options.workers)
    elif options.scaling:
        scaling()
    else:
        compare(options.rows)


if __name__ == "__main__":
    main()
