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
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.jobs import JobCost, job_of
from benchmarks.jobs import run_job as run_in_process
from benchmarks.machine import named, print_machine
from benchmarks.workbench import Measurement, Target, Workbench

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
BENCH_JOB_SECONDS = 20
"""Prefect's share of a longer job is smaller."""


def measure(bench: Workbench) -> Iterator[Measurement]:
    """Yield Prefect's share of a job, and the speed-up by a second worker process."""
    workers = os.cpu_count() or 1
    sides = [("local", workers), ("threads", workers), ("processes", 1), ("processes", 2)]
    local, threads, one, two = _long_jobs(sides, seconds=BENCH_JOB_SECONDS, rounds=1)
    share = 1 - local.job_seconds / threads.job_seconds
    cpu = 1 - local.cpu_seconds / threads.cpu_seconds
    what = f"Prefect's share of a job of {local.job_seconds:.0f} s (the target is for a minute)"
    yield Measurement(what, str(threads), "local engine", str(local), share, cpu, Target(at_most=0.05))
    ratio = one.job_seconds / two.job_seconds
    beside, target = f"one worker process, {named('prefect')}", Target(at_least=1.85)
    yield Measurement("two worker processes", str(two), beside, str(one), ratio, target=target)


def make_table(path: Path, n_rows: int) -> None:
    rng = np.random.default_rng(0)
    columns = {f"x{i}": rng.normal(size=n_rows).astype(np.float32) for i in range(16)}
    columns["t"] = pa.array(np.arange(n_rows) * 1_000_000 + 1_704_067_200_000_000, pa.timestamp("us", tz="UTC"))
    columns["kind"] = pa.array(rng.choice(["a", "b", "c", "d"], n_rows))
    pq.write_table(pa.table(columns), path, row_group_size=65_536)


def run_job(table: Path, folder: Path, **runtime: object) -> JobCost:
    """Run the job in a process of its own, with one compute thread to a worker."""
    sink = folder / f"out-{time.monotonic_ns()}"
    settings = {"chunk_rows": 65_536, "max_memory_gb": 8, "threads": 1} | runtime
    job = job_of(table, sink, columns={"time": "t"}, runtime=settings)
    cost = run_in_process(job, log=folder / f"{sink.name}.log", environment=os.environ | ONE_THREAD)
    shutil.rmtree(sink)
    return cost


def compare(n_rows: int) -> None:
    engines = ["local", "threads", "processes", "dask"] + (["ray"] if importlib.util.find_spec("ray") else [])
    cases = {f"{engine}, {n} worker{'s' * (n > 1)}": {"engine": engine, "workers": n} for engine in engines for n in (1, 2)}
    cases["threads, 2, by stage"] = {"engine": "threads", "workers": 2, "granularity": "stage"}
    found: dict[str, JobCost] = {}
    together = float("inf")
    with tempfile.TemporaryDirectory() as name:
        table = Path(name) / "table.parquet"
        make_table(table, n_rows)
        for _ in range(2):  # the cases take turns; the better of two runs counts
            for label, runtime in cases.items():
                result = run_job(table, Path(name), **{"granularity": "chunk"} | runtime)
                found[label] = min(found.get(label, result), result, key=lambda run: run.seconds)
            with ThreadPoolExecutor(2) as pool:
                pair = list(pool.map(lambda _: run_job(table, Path(name), engine="local", workers=1), range(2)))
            together = min(together, max(run.job_seconds for run in pair))
    chunks = -(-n_rows // 65_536)
    print(f"\n{n_rows:,} rows, {chunks} chunks, up to {3 * chunks} task runs; seconds")
    print(f"{'engine':<22}{'process':>9}{'job':>9}{'start, stop':>13}{'CPU':>9}{'peak MiB':>10}")
    for label, run in found.items():
        line = f"{run.seconds:>9.1f}{run.job_seconds:>9.1f}{run.seconds - run.job_seconds:>13.1f}{run.cpu_seconds:>9.1f}"
        print(f"{label:<22}{line}{run.job_peak_mb:>10.0f}")
    for workers in (1, 2):
        label = f"{workers} worker{'s' * (workers > 1)}"
        plain, threads = found[f"local, {label}"].job_seconds, found[f"threads, {label}"].job_seconds
        print(f"Prefect's share of the job, {label} on threads: {(threads - plain) / threads:.1%}")
    for engine in engines:
        one, two = found[f"{engine}, 1 worker"].job_seconds, found[f"{engine}, 2 workers"].job_seconds
        print(f"one worker to two, {engine}: {one / two:.2f} x")
    alone = found["local, 1 worker"].job_seconds
    print(f"upper limit on these cores, two such jobs at once against one: {2 * alone / together:.2f} x")


def minute(workers: int) -> None:
    """Print Prefect's share of a one-minute job on threads."""
    plain, threads = _long_jobs([("local", workers), ("threads", workers)])
    print("Prefect's share on threads:")
    job, process, cpu = (
        1 - getattr(plain, name) / getattr(threads, name) for name in ("job_seconds", "seconds", "cpu_seconds")
    )
    print(f"{job:.1%} of the job's wall time, {process:.1%} of the process's, {cpu:.1%} of its CPU time")


def scaling() -> None:
    """Print the speed-up by a second worker process in a job that takes one process a minute."""
    one, two = _long_jobs([("processes", 1), ("processes", 2)])
    job, process = one.job_seconds / two.job_seconds, one.seconds / two.seconds
    print(f"one worker process to two: {job:.2f} x (job), {process:.2f} x (process)")


def _long_jobs(sides: Sequence[tuple[str, int]], *, seconds: float = 60, rounds: int = 3) -> list[JobCost]:
    """The median run of each side (an engine and its number of workers) with one Prefect server for all runs.

    The table has as many rows as the local engine processes in `seconds` with the first side's workers.
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

        def job(engine: str, workers: int) -> JobCost:  # all other settings at their defaults
            return run_job(table, Path(name), engine=engine, workers=workers, chunk_rows=None, granularity="auto")

        def cpu_of_server() -> float:
            return sum(sum(server.cpu_times()[:2]) for server in servers)

        make_table(table, 1_000_000)
        tried = job("local", sides[0][1])
        n_rows = max(1, round(seconds / tried.job_seconds)) * 1_000_000
        make_table(table, n_rows)
        print(f"{n_rows:,} rows, {-(-n_rows // 131_072)} chunks", flush=True)
        found: list[list[JobCost]] = [[] for _ in sides]
        for _ in range(rounds):  # the sides take turns
            for runs, (engine, workers) in zip(found, sides, strict=True):
                before = cpu_of_server()
                run = job(engine, workers)
                runs.append(run)
                print(f"{f'{engine}, {workers}':<14}{run.job_seconds:6.1f} s, {run.cpu_seconds:6.1f} s of CPU, ", end="")
                print(f"{cpu_of_server() - before:4.1f} s of CPU of the server", flush=True)
    return [sorted(runs, key=lambda run: run.job_seconds)[rounds // 2] for runs in found]


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
    print_machine(["prefect", "dask", "numpy", "pyarrow"])
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
