"""What a run does in the workers of a Dask cluster: it sets up their logging; those that it has started end with it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from distributed import Client, Worker, WorkerPlugin

from flows.engines.cluster_logs import ClusterLogs, log_until_closed

LOGGERS = ("distributed", "tornado", "asyncio")
"""Loggers of a worker process."""


@contextmanager
def logging_set_up(client: Client) -> Iterator[None]:
    """Have Prefect's logging set up in each worker of a cluster before its first task, and in those that come later.

    The first tasks begin at once, and each would set it up. One waited for ever, with the lock of all loggers, for the events
    that another was starting in a new event loop, which logs.

    The plugin's class is defined here, so that it travels by value: other workers of a shared cluster may lack this package.
    Each run has one of its own, so that the end of one run leaves that of another where it is.
    """

    class SetsUpLogging(WorkerPlugin):
        name = f"emberharmony-sets-up-logging-{client.id}"

        def setup(self, worker: Worker) -> None:
            with suppress(ImportError):
                from prefect.logging.configuration import ensure_logging_setup

                ensure_logging_setup()

    client.register_plugin(SetsUpLogging())
    try:
        yield
    finally:
        if client.status == "running":
            with suppress(OSError, ValueError, KeyError):  # a worker is gone, or has come without it
                client.unregister_worker_plugin(SetsUpLogging.name)


class EndsWithItsRun(WorkerPlugin):
    """Leaves Ctrl-C to the run, and logs until the run closes the cluster.

    Parameters
    ----------
    logs : ClusterLogs
        What the run closes before the cluster.
    """

    name = "emberharmony-ends-with-its-run"

    def __init__(self, logs: ClusterLogs) -> None:
        self._logs = logs

    def setup(self, worker: Worker) -> None:
        """Prepare a worker process, as soon as it has started."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the run closes the cluster
        log_until_closed(self._logs, *LOGGERS)
