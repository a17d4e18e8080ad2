"""The whole job as a Prefect flow."""

from __future__ import annotations

from prefect import flow

from flows.compose import Outcome, run_job
from flows.config.job import Job
from flows.engines.task_runs import engine_of
from flows.prefect.artifacts import ArtifactWatcher, publish_summary
from flows.watch import current_watcher, note_outcome


@flow(name="extract", persist_result=False)
def extract(job: Job, overwrite: bool = False) -> Outcome:
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
        outcome = run_job(job, engine, ArtifactWatcher(current_watcher()), overwrite=overwrite)
    note_outcome(outcome)
    publish_summary(outcome)
    return outcome
