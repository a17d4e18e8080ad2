"""The first half of the job as a Prefect flow: fit, and publish the fitted state."""

from __future__ import annotations

from prefect import flow

from emberharmony.pipeline.execute import RunResult
from flows.config.job import FitJob
from flows.prefect.flow_run import run_in_flow
from flows.prefect.names import flow_run_title


@flow(name="fit", flow_run_name=flow_run_title, persist_result=False)
def fit(job: FitJob, overwrite: bool = False) -> RunResult:
    """Fit features and PCAs on a table's training rows, and publish only the fitted state.

    Parameters
    ----------
    job : FitJob
        A job as for `extract`; its sink receives `state` and `manifest.json`, which `apply` reads.
    overwrite : bool
        Replace the result at the sink, and start over.
    """
    result: RunResult = run_in_flow(job, overwrite=overwrite)
    return result
