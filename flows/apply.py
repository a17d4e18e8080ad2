"""The second half of the job as a Prefect flow: a fitted state makes the same features of other rows."""

from __future__ import annotations

from prefect import flow

from emberharmony.pipeline.execute import RunResult
from flows.config.job import ApplyJob
from flows.prefect.flow_run import run_in_flow
from flows.prefect.names import flow_run_title


@flow(name="apply", flow_run_name=flow_run_title, persist_result=False)
def apply(job: ApplyJob, overwrite: bool = False) -> RunResult:
    """Make features, windows and scores of a table with a fitted state, and measure how far its rows have drifted.

    Parameters
    ----------
    job : ApplyJob
        Where the state is published, the table, and where the result goes.
    overwrite : bool
        Replace the result at the sink, and start over.
    """
    result: RunResult = run_in_flow(job, overwrite=overwrite)
    return result
