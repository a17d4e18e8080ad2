"""Run jobs in separate processes, and kill them at a moment that a test chooses."""

from __future__ import annotations

import faulthandler
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil

from emberharmony.io.store.snapshot import Snapshot
from flows.config.job import parse_job
from tests.jobs import small_table, write_table

N_ROWS = 1500
CHUNK_ROWS = 250

CHANGES = ("link", "replace", "rename", "unlink", "rmdir")
"""Functions of `os` that change the file system."""

QUIET = {
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
}
"""Environment that Prefect, and a server of many short runs, reads when it is imported."""

_servant = multiprocessing.get_context("forkserver")
PRELOADED = [
    "flows.run",
    "flows.engines.local",
    "flows.engines.task_runs",
    "flows.apply",
    "flows.extract",
    "flows.fit",
    "prefect.flow_engine",
    "anyio._backends._asyncio",
    "emberharmony.backend._numpy",
    "emberharmony.io.sources.parquet.source",
    "emberharmony.io.sinks.parquet.publish",
    "pyarrow.acero",
    "pyarrow.dataset",
    "tests.faults.preloaded",
    "safetensors.numpy",
    "threadpoolctl",
    "tests.faults.victims",
    "tests.servers.azure",
    "tests.servers.s3",
    "emberharmony.io.sinks.delta.log",
    "emberharmony.io.sources.parquet.slice",
    "importlib_metadata._adapters",
    "email.policy",
    "prefect.utilities.visualization",
    "sklearn.decomposition",
    "prefect_dask",
    "fastapi",
    "tests.faults.preloaded_job",
]
"""What a run needs: the server from which runs are forked has imported it."""

_servant.set_forkserver_preload(PRELOADED)


def small_job(folder: Path, *, sink: str = "result", **changes: Any) -> dict[str, Any]:
    """A job of six chunks over an unordered table; its stages write every kind of file."""
    source = folder / "table.parquet"
    if not source.exists():
        write_table(small_table(N_ROWS), source, group_rows=200)
    runtime = {"engine": "local", "workers": 1, "backend": "numpy", "chunk_rows": CHUNK_ROWS} | changes.pop("runtime", {})
    return {
        "source": {"path": str(source)},
        "sink": {"path": str(folder / sink)},
        "columns": {"time": "t", "target": "y", "drop": ["name"]},
        "windows": {"size": 3, "strides": [1, 2]},
        "runtime": runtime,
    } | changes


def start(
    job: dict[str, Any],
    *,
    overwrite: bool = False,
    die_at: int | None = None,
    told: Path | None = None,
    api: str | None = None,
) -> Any:
    """Start a run, with the Prefect server at `api` if its engine needs one.

    It kills itself before its `die_at`-th change of the file system or a bucket, and tells `told` how many it made.
    """
    return fork(_victim, job, overwrite, die_at, told, api)


def fork(target: Callable[..., None], *args: Any) -> Any:
    """Call a function in a process that has imported all that a run needs; returns the process."""
    process = _servant.Process(target=target, args=args)
    with patch.dict(os.environ, QUIET):  # the first call starts the fork server
        process.start()
    return process


def run(job: dict[str, Any], **options: Any) -> int:
    """Run a job until it ends or is killed; returns the exit status, negative for a signal."""
    return status_of(start(job, **options))


def run_here(job: dict[str, Any]) -> None:
    """Run a job in this process, where what a killed run has left is completed without another fork."""
    import flows.run

    flows.run.run(parse_job(job))


def status_of(process: Any) -> int:
    """Wait for a run; returns its exit status, negative for a signal."""
    process.join(300)
    if process.exitcode is None:
        os.kill(process.pid, signal.SIGABRT)  # faulthandler prints all threads
        process.join()
        raise AssertionError("the run hung")
    return int(process.exitcode)


def told_by(work: Callable[..., None], *arguments: Any) -> Any:
    """Return what a function tells the connection that is its last argument, in a new process: its memory is its own."""
    ours, its = multiprocessing.Pipe(duplex=False)
    process = fork(work, *arguments, its)
    its.close()
    told = ours.recv()
    assert status_of(process) == 0
    return told


@dataclass(frozen=True)
class Cluster:
    """A Dask cluster in a separate process."""

    address: str
    pid: int

    def workers(self) -> list[psutil.Process]:
        """Worker processes, forked by a server that is a child of the cluster's process."""
        return [worker for server in psutil.Process(self.pid).children() for worker in server.children()]


@contextmanager
def dask_cluster(workers: int) -> Iterator[Cluster]:
    """Worker processes forked by a server that has imported all: spawned they take seconds each time.

    Their nannies live in another process than the tests: starting a process asks for the state of all children, and of two
    threads that ask for one's exit status at once, one gets 255 (`multiprocessing.popen_forkserver`).
    """
    ours, its = multiprocessing.Pipe()
    process = _servant.Process(target=_host_cluster, args=(workers, its))
    with patch.dict(os.environ, QUIET):
        process.start()
    try:
        cluster = Cluster(ours.recv(), process.pid)
        assert len(cluster.workers()) == workers
        yield cluster
    finally:
        ours.send("end")
        process.join(300)
    assert process.exitcode == 0


def _host_cluster(workers: int, asked: Any) -> None:
    import dask
    from distributed import LocalCluster

    from flows.engines.dask import DASK_SETTINGS, local_cluster

    # Started here: the server that Dask would start has imported only Dask, and each worker would import the rest.
    _servant.set_forkserver_preload([*PRELOADED, "distributed"])
    forkserver.ensure_running()
    forked = {"distributed.worker.multiprocessing-method": "forkserver"}
    with (
        dask.config.set(DASK_SETTINGS | forked),
        LocalCluster(**local_cluster(workers) | {"silence_logs": "CRITICAL"}) as cluster,
    ):
        asked.send(cluster.scheduler_address)
        asked.recv()


def contents(sink: Path) -> dict[str, str]:
    """Hash of every file of a result by name, and the manifest without times and places."""
    files = {str(path.relative_to(sink)): path for path in sink.rglob("*") if path.is_file() and path.name != "manifest.json"}
    files = {name: path for name, path in files.items() if not name.startswith(".versions/")}  # earlier results
    hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in sorted(files.items())}
    manifest = json.loads((sink / "manifest.json").read_text())
    return _contents(manifest, hashes)


def contents_by_snapshot(snapshot: Snapshot) -> dict[str, str]:
    """Contents of a result as a reader at work finds them."""
    hashes = {file.name: hashlib.sha256(snapshot.get(file)).hexdigest() for file in snapshot.manifest.files}
    return _contents(snapshot.manifest.to_json(), dict(sorted(hashes.items())))


def _contents(manifest: dict[str, Any], hashes: dict[str, str]) -> dict[str, str]:
    recorded = {file["name"]: file["sha256"] for file in manifest["files"]}
    assert recorded == hashes, "the manifest tells of other files than those that are there"
    for passing in ("created", "files", "computed", "parity", "backends", "root", "serial"):
        manifest.pop(passing, None)
    return hashes | {"manifest.json": json.dumps(manifest, sort_keys=True)}


def wait_until(condition: Callable[[], Any], *, timeout_s: float = 300.0) -> None:
    """Wait until another process has done something.

    Asking takes at most a tenth of a core, also if the condition asks a server, which then has the rest for its work.
    """
    end = time.monotonic() + timeout_s
    asked = time.monotonic()
    while not condition():
        now = time.monotonic()
        assert now < end, "waited in vain"
        time.sleep(min(0.5, max(0.002, 9 * (now - asked))))
        asked = time.monotonic()


def worker_processes() -> list[psutil.Process]:
    """Processes that a run in this process has started to compute chunks; of forks, those that stand in for them."""
    return [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


def receipts(job: dict[str, Any]) -> list[Path]:
    """Receipts written so far."""
    return list(Path(job["sink"]["path"]).glob(".staging/*/receipts/*/*.json"))


def contents_of_published(sink: Path) -> dict[str, str]:
    """Contents of a result that is published but whose staging folder remains."""
    seen = sink.with_name(f"{sink.name}-seen")
    shutil.copytree(sink, seen, ignore=shutil.ignore_patterns(".staging"))
    try:
        return contents(seen)
    finally:
        shutil.rmtree(seen)


@contextmanager
def prefect_at(api: str) -> Iterator[None]:
    """Use a Prefect server in a fork during the block; without heartbeats, a flow run ends up to a second sooner."""
    from flows.prefect.settings import changed_settings

    with changed_settings("api", url=api), changed_settings("flows", heartbeat_frequency=None):
        yield


def _victim(job: dict[str, Any], overwrite: bool, die_at: int | None, told: Path | None, api: str | None) -> None:
    faulthandler.enable()
    from emberharmony.io.sinks.delta.log import DeltaLog
    from emberharmony.io.store import local_commit as commit
    from emberharmony.io.store.bucket import Bucket
    from flows.prefect import server
    from flows.run import run as run_here
    from tests.servers.azure import CREDENTIALS as CREDENTIALS_OF_AZURE
    from tests.servers.s3 import CREDENTIALS as CREDENTIALS_OF_S3

    n_changes = 0

    def watched(change: Callable[..., Any]) -> Callable[..., Any]:
        def changes(*args: Any, **kwargs: Any) -> Any:
            nonlocal n_changes
            n_changes += 1
            if n_changes == die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*args, **kwargs)

        return changes

    for name in CHANGES:
        setattr(os, name, watched(getattr(os, name)))
    commit.exchange = watched(commit.exchange)
    DeltaLog._try = watched(DeltaLog._try)
    for name in ("put", "delete"):
        setattr(Bucket, name, watched(getattr(Bucket, name)))
    os.environ.update(CREDENTIALS_OF_S3 | CREDENTIALS_OF_AZURE | {"GOOGLE_BEARER_TOKEN": "test"})
    if api:
        server.CHECK_TIMEOUT_S = server.REQUEST_TIMEOUT_S = 300.0  # all runs share it, on a machine that is busy with others
    with prefect_at(api) if api else nullcontext():
        run_here(parse_job(job), overwrite=overwrite)
    if told:
        told.write_text(str(n_changes))
