"""Running a job from Python or a shell, on the engine that it names."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from flows.compose import Outcome, run_job
from flows.config import Job
from flows.local import PlainLoop
from flows.watch import Watcher, watching

_QUIET: Mapping[str, str] = {
    # A run's own progress is on the console; Prefect's line for every task run is in its UI.
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
    "PREFECT_CLI_WRAP_LINES": "false",
    # Measured: a quarter of the server's time for each task run.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
}


def run(job: Job, watcher: Watcher | None = None, *, overwrite: bool = False) -> Outcome:
    """Run a job; ``engine: none`` needs no Prefect, every other engine is a flow run.

    Raises
    ------
    EmberharmonyError
        If the job cannot be done; nothing was published then.
    """
    if job.runtime.engine == "none":
        return run_job(job, PlainLoop(job.workers), watcher, overwrite=overwrite)
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    from flows.extract import extract_on

    if watcher is None:
        return extract_on(job, overwrite=overwrite)
    with watching(watcher):
        return extract_on(job, overwrite=overwrite)


def quiet_prefect() -> None:
    """Keep Prefect's own reports off the console: a failed job is told once, in the job's own words."""
    for name in ("prefect", "prefect.flow_runs", "prefect.task_runs", "prefect.engine"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
