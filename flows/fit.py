"""The first half of the job as a Prefect flow: fit, and publish what was fitted."""

from __future__ import annotations

from prefect import flow

from flows.compose import Outcome, run_job
from flows.config.job import FitJob
from flows.engines.task_runs import engine_of
from flows.prefect.artifacts import ArtifactWatcher, publish_summary
from flows.watch import current_watcher, note_outcome


@flow(name="fit", persist_result=False)
def fit(job: FitJob, overwrite: bool = False) -> Outcome:
    """Fit features and PCAs on a table's training rows, and publish only the fitted state.

    Parameters
    ----------
    job : FitJob
        A job as for `extract`; its sink receives `state` and `manifest.json`, which `apply` takes up.
    overwrite : bool
        Replace what is published at the sink, and start anew.
    """
    with engine_of(job) as engine:
        outcome = run_job(job, engine, ArtifactWatcher(current_watcher()), overwrite=overwrite)
    note_outcome(outcome)
    publish_summary(outcome)
    return outcome
