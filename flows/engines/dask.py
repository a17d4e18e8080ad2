"""`engine: dask`: a flow run whose task runs are tasks of a Dask cluster, started here or at an address."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from flows.engines import clusters
from flows.engines.base import MiB
from flows.engines.cluster_logs import logging_until_closed
from flows.engines.clusters import AddressForm, ClusterKind, missing_extra, started

if TYPE_CHECKING:
    from distributed import Client
    from prefect.task_runners import TaskRunner

    from flows.config.runtime import Runtime


ADDRESS = AddressForm("dask", ("tcp", "tls", "ws", "wss", "ucx"), ("inproc://",), "tcp://HOST:8786")
DASK_SETTINGS = {
    # With Dask's own setting every large array is mapped again, page by page: a chunk takes up to three times as long.
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
    # After this time Dask looks for a dead worker by name. If the name is just being started again after a second death, Dask
    # gives it up for good (SpecCluster._update_worker_status): two deaths 15 s apart would lose a worker.
    "distributed.deploy.lost-worker-timeout": "52w",
    # Pages of Dask's dashboard, for which a worker without work takes 3 % of a core; without them 0.5 % (measured).
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.tick.interval": "1s",
}
CHECK_INTERVAL_S = 30.0
"""Time between two checks that the cluster has workers."""

_log = logging.getLogger(__name__)


class Dask(ClusterKind):
    """Prefect task runs on a Dask cluster."""

    name = "dask"
    worker_bytes = 320 * MiB  # measured: 316 MiB, Prefect included
    addresses = ADDRESS

    def runner(self, workers: int, address: str | None, n_chunks: int = 1) -> AbstractContextManager[TaskRunner[Any]]:
        """Start the task runner."""
        return dask_runner(workers, address, n_chunks)

    def overlaps(self, runtime: Runtime) -> bool:
        """Whether the workers are started here. Those at an address do as many chunks at a time as they have threads."""
        return not self.is_remote(runtime)


def local_cluster(workers: int, n_tasks: int = 1) -> dict[str, Any]:
    """Return the arguments of a `LocalCluster`: `n_tasks` at a time in each process, in the memory that is planned."""
    return {
        "n_workers": workers,
        "threads_per_worker": n_tasks,
        "processes": True,
        "memory_limit": 0,
        "dashboard_address": "127.0.0.1:0",  # any port: None means 8787, which may be taken
        "silence_logs": "ERROR",
    }


@contextmanager
def dask_runner(workers: int, address: str | None, n_tasks: int = 1) -> Iterator[TaskRunner[Any]]:
    """Start a task runner on the cluster at an address, or on one that lives as long as the block.

    Raises
    ------
    BackendUnavailableError
        If Dask is not installed.
    TerminalError
        If the address is not that of a Dask scheduler, or no cluster can be started here.
    """
    try:
        import dask
        from prefect_dask import DaskTaskRunner

        from flows.engines.dask_worker import EndsWithItsRun, logging_set_up
    except ImportError as error:
        raise missing_extra("dask", error) from error
    if address:
        check_dask(address)
        connected = DaskTaskRunner(address=address)
    else:
        connected = started("dask", DaskTaskRunner(cluster_kwargs=local_cluster(workers, n_tasks)))
    with (
        dask.config.set(DASK_SETTINGS),
        logging_until_closed("distributed", "tornado") as logs,
        connected as runner,
        closing(logs),
        _watched(runner.client),
        logging_set_up(runner.client),
    ):
        if not address:
            runner.client.register_plugin(EndsWithItsRun(logs))
        yield runner


def check_dask(address: str) -> None:
    """Refuse an address at which something other than a Dask scheduler listens.

    Raises
    ------
    TerminalError
        The message names the address.
    """
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    from distributed.core import connect
    from distributed.security import Security

    async def ask() -> None:
        arguments = Security().get_connection_args("client")
        comm = await asyncio.wait_for(connect(address, timeout=clusters.TIMEOUT_S, **arguments), clusters.TIMEOUT_S)
        comm.abort()

    try:
        with ThreadPoolExecutor(1) as thread:  # a notebook's own thread already runs an event loop
            thread.submit(asyncio.run, ask()).result()
    except Exception as error:
        reason = f" ({error})" if str(error) else ""
        raise ADDRESS.unusable(address, f"what answers there is no Dask scheduler{reason}") from error


@contextmanager
def _watched(client: Client) -> Iterator[None]:
    """Warn while a cluster has no worker. It may still get one, so the run waits."""
    over = threading.Event()

    def check() -> None:
        while not over.wait(CHECK_INTERVAL_S):
            with suppress(OSError):  # if the cluster is gone, the run fails by itself
                if not client.nthreads():
                    _log.warning("The Dask cluster at %s has no worker. This run waits for one.", client.scheduler.address)

    thread = threading.Thread(target=check, name="dask-workers", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
