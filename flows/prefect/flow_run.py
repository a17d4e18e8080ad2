"""A job within the current flow run: on its engine, with artifacts that show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emberharmony.pipeline.callback import current_callback, record_result
from emberharmony.pipeline.execute import RunResult, run_job
from flows.prefect.artifacts import ArtifactCallback, publish_summary

if TYPE_CHECKING:
    from flows.config.job import AnyJob


def run_in_flow(job: AnyJob, *, overwrite: bool) -> RunResult:
    """Run a job within the current flow run, and leave its summary there.

    Raises
    ------
    EmberharmonyError
        If the job cannot be done; nothing was published then.
    """
    job = job.with_engine(job.engine)
    with job.engine.open(job) as engine:
        result = run_job(job, engine, ArtifactCallback(current_callback()), overwrite=overwrite)
    record_result(result)
    publish_summary(result)
    return result
