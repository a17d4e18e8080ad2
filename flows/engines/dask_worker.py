"""Worker processes of a Dask cluster that a run has started: they end with the run, and say nothing then."""

from __future__ import annotations

import signal

from distributed import Worker, WorkerPlugin
from prefect.logging.configuration import ensure_logging_setup

from flows.engines.cluster_logs import ClusterLogs, log_until_closed

LOGGERS = ("distributed", "tornado", "asyncio")
"""Loggers of a worker process."""


class EndsWithItsRun(WorkerPlugin):
    """Leaves Ctrl-C to the run, and logs as Prefect does until the run closes the cluster.

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
        # The first tasks begin at once, and each would set up Prefect's logging. One waited for ever, with the lock of all
        # loggers, for the events that another was starting in a new event loop, which logs.
        ensure_logging_setup()
        log_until_closed(self._logs, *LOGGERS)
