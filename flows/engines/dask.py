"""Dask clusters: worker processes of this machine, or an existing cluster by its address."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import dask
from distributed import Client
from prefect.task_runners import TaskRunner
from prefect_dask import DaskTaskRunner

from flows.engines.addresses import check_dask

DASK_SETTINGS = {
    # Dask's own has every large array mapped anew, page by page: up to three times the time of a chunk.
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
    # So long after a worker has died its name is looked for, and if that is just being started once more, after a second
    # death, it is given up for good (SpecCluster._update_worker_status): two deaths 15 s apart, and a worker is gone.
    "distributed.deploy.lost-worker-timeout": "52w",
}
LOOK_S = 30.0
"""How often one looks whether the cluster has workers."""

_log = logging.getLogger(__name__)


def local_cluster(workers: int) -> dict[str, Any]:
    """Arguments of a `LocalCluster` for this work: a task at a time in each process, in the memory that the plan counted."""
    return {
        "n_workers": workers,
        "threads_per_worker": 1,
        "processes": True,
        "memory_limit": 0,
        "dashboard_address": "127.0.0.1:0",  # any: None means 8787, of which there is one
        "silence_logs": "ERROR",
    }


@contextmanager
def dask_runner(workers: int, address: str | None) -> Iterator[TaskRunner[Any]]:
    """A started task runner on the cluster at an address, or on one that lives as long as the block."""
    if address:
        check_dask(address)
    place = {"address": address} if address else {"cluster_kwargs": local_cluster(workers)}
    with dask.config.set(DASK_SETTINGS), DaskTaskRunner(**place) as runner, _watched(runner.client):
        yield runner


@contextmanager
def _watched(client: Client) -> Iterator[None]:
    """Say it while a cluster has no worker: it may get one, and is waited for."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK_S):
            with suppress(OSError):  # a cluster that is gone fails the run by itself
                if not client.nthreads():
                    _log.warning("The Dask cluster at %s has no worker. This run waits for one.", client.scheduler.address)

    watch = threading.Thread(target=look, name="dask-workers", daemon=True)
    watch.start()
    try:
        yield
    finally:
        over.set()
