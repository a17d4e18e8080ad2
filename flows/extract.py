"""The whole job as a Prefect flow."""

from __future__ import annotations

from prefect import flow

from emberharmony.pipeline.execute import RunResult
from flows.config.job import Job
from flows.prefect.flow_run import run_in_flow
from flows.prefect.names import flow_run_title


@flow(name="extract", flow_run_name=flow_run_title, persist_result=False)
def extract(job: Job, overwrite: bool = False) -> RunResult:
    """Turn a table into features, windows and fitted state.

    Parameters
    ----------
    job : Job
        Source, sink, and the settings of every step, as in the files of `configs/`.
    overwrite : bool
        Replace the result at the sink, and start over. Without it an interrupted run resumes, and a finished one does nothing.
    """
    result: RunResult = run_in_flow(job, overwrite=overwrite)
    return result
