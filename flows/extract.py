"""The whole job as a Prefect flow."""

from __future__ import annotations

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from flows.artifacts import ArtifactWatcher, publish_summary
from flows.compose import Outcome, run_job
from flows.config import Job
from flows.engine import PrefectEngine
from flows.watch import current_watcher


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
    outcome = run_job(job, PrefectEngine(job), ArtifactWatcher(current_watcher()), overwrite=overwrite)
    publish_summary(outcome)
    return outcome


def extract_on(job: Job, *, overwrite: bool = False) -> Outcome:
    """Run the flow on the engine that the job names."""
    on_engine = extract.with_options(task_runner=ThreadPoolTaskRunner(max_workers=job.workers))
    return on_engine(job, overwrite)
