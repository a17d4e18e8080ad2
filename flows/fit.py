"""The first half of the job as a Prefect flow: fit, and publish what was fitted."""

from __future__ import annotations

from prefect import flow

from flows.callback import current_callback, record_result
from flows.compose import RunResult, run_job
from flows.config.job import FitJob
from flows.engines.task_runs import engine_of
from flows.prefect.artifacts import ArtifactCallback, publish_summary


@flow(name="fit", persist_result=False)
def fit(job: FitJob, overwrite: bool = False) -> RunResult:
    """Fit features and PCAs on a table's training rows, and publish only the fitted state.

    Parameters
    ----------
    job : FitJob
        A job as for `extract`; its sink receives `state` and `manifest.json`, which `apply` takes up.
    overwrite : bool
        Replace what is published at the sink, and start anew.
    """
    with engine_of(job) as engine:
        result = run_job(job, engine, ArtifactCallback(current_callback()), overwrite=overwrite)
    record_result(result)
    publish_summary(result)
    return result
