"""The whole job as a Prefect flow."""

from __future__ import annotations

from prefect import flow

from flows.callback import current_callback, record_result
from flows.compose import RunResult, run_job
from flows.config.job import Job
from flows.engines.task_runs import engine_of
from flows.prefect.artifacts import ArtifactCallback, publish_summary


@flow(name="extract", persist_result=False)
def extract(job: Job, overwrite: bool = False) -> RunResult:
    """Turn a table into features, windows and fitted state.

    Parameters
    ----------
    job : Job
        Source, sink, and every step's settings, as in the files of `configs/`.
    overwrite : bool
        Replace what is published at the sink, and start anew; without it an interrupted run goes on where it stopped, and
        a finished one has nothing to do.
    """
    with engine_of(job) as engine:
        result = run_job(job, engine, ArtifactCallback(current_callback()), overwrite=overwrite)
    record_result(result)
    publish_summary(result)
    return result
