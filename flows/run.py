"""Run a job from Python or a shell, on the engine that it names."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from emberharmony.io.store.address import without_query
from emberharmony.pipeline.callback import Callback, current_callback, using_callback
from emberharmony.pipeline.execute import RunResult, check_credentials, is_published, run_job
from emberharmony.pipeline.state_registry import with_resolved_state
from flows.config.job import AnyJob
from flows.engines.local import Local
from flows.prefect.server import server_if_needed

if TYPE_CHECKING:
    from prefect import Flow

_QUIET: Mapping[str, str] = {
    # The console shows the run's own progress; Prefect's UI shows a line for every task run.
    "PREFECT_LOGGING_LEVEL": "WARNING",
    # One run's own lines, for its log in the UI; those of task runs would cost the server more than their work.
    "PREFECT_LOGGING_LOGGERS_PREFECT_FLOW_RUNS_LEVEL": "INFO",
    # A job that fails prints its error once, without a traceback.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    # Prefect would print every event that a server does not accept, with its whole content.
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
    "PREFECT_CLI_WRAP_LINES": "false",
}

_log = logging.getLogger(__name__)


def run(job: AnyJob, callback: Callback | None = None, *, overwrite: bool = False, verify: bool = False) -> RunResult:
    """Run a job: in this process, or as a flow run if its engine uses Prefect.

    Raises
    ------
    EmberharmonyError
        If the job cannot be done; nothing was published then.

    Notes
    -----
    If the Prefect server goes away after the result was published, that is a warning: the store says what is done.
    """
    quiet_prefect()
    kind = job.engine
    asked = with_resolved_state(job.with_engine(kind))
    job = asked.resolved()
    # A job with nothing to do needs no Prefect: its server takes seconds to start.
    if not kind.uses_prefect or (not overwrite and is_published(job, verify=verify)):
        with (Local() if kind.uses_prefect else kind).open(job) as engine:
            return run_job(job, engine, callback, overwrite=overwrite, verify=verify)
    check_credentials(job)
    advice = (
        f"What is done is kept in {without_query(job.sink.path)}. Run {same_command(overwrite)} again when the server is "
        f"back, or go on without Prefect: --set runtime.engine=local."
    )
    kind.check_available(job.runtime)  # before a server is started for nothing
    with server_if_needed(advice, meanwhile=_flows), using_callback(callback or current_callback()) as results:
        from flows.prefect.outages import OutageError, outages_told  # Prefect is imported while its server starts

        try:
            with outages_told(at_end=True):
                return _as_flow_run(asked, overwrite=overwrite)  # resolved there
        except OutageError as outage:
            if not results:
                raise OutageError(f"{outage} {advice}") from outage
            _log.warning("%s The result is published; the server does not know it.", outage)
            return results[-1]


def quiet_prefect() -> None:
    """Have Prefect print nothing that the run says itself; called before Prefect, which reads this once, is imported."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


def same_command(overwrite: bool) -> str:
    """Return what to run again, in words, to resume a run; with `--overwrite` it would start over."""
    return "the same command" + (" without --overwrite" if overwrite else "")


def _as_flow_run(job: AnyJob, *, overwrite: bool) -> RunResult:
    return _flows()[job.command](job, overwrite)


def _flows() -> Mapping[str, Flow[..., RunResult]]:
    """The flow of each command; importing them imports Prefect, which takes two seconds."""
    from flows.apply import apply
    from flows.extract import extract
    from flows.fit import fit

    return {"run": extract, "fit": fit, "apply": apply}
