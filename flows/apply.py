"""The second half of the job as a Prefect flow: what was fitted makes the same features of other rows."""

from __future__ import annotations

from prefect import flow

from flows.callback import current_callback, record_result
from flows.compose import RunResult, run_job
from flows.config.job import ApplyJob
from flows.engines.task_runs import engine_of
from flows.prefect.artifacts import ArtifactCallback, publish_summary


@flow(name="apply", persist_result=False)
def apply(job: ApplyJob, overwrite: bool = False) -> RunResult:
    """Make features, windows and scores of a table by a fitted state, and measure how far its rows have drifted.

    Parameters
    ----------
    job : ApplyJob
        Where the state is published, the table, and where the result goes.
    overwrite : bool
        Replace what is published at the sink, and start anew.
    """
    with engine_of(job) as engine:
        result = run_job(job, engine, ArtifactCallback(current_callback()), overwrite=overwrite)
    record_result(result)
    publish_summary(result)
    return result
