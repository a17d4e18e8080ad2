"""The first half of the job as a Prefect flow: fit, and publish the fitted state."""

from __future__ import annotations

from prefect import flow

from emberharmony.pipeline.execute import RunResult
from flows.config.job import FitJob
from flows.config.parameters import READERS, current_job, title_of
from flows.prefect.flow_run import run_in_flow

_read = READERS["fit"]


@flow(name="fit", flow_run_name=title_of(_read), persist_result=False)
def fit(
    job: FitJob | None = None,
    overwrite: bool = False,
    config: str | None = None,
    overrides: list[str] | None = None,
    slice: str | None = None,
) -> RunResult:
    """Fit features and PCAs on a table's training rows, and publish only the fitted state.

    Parameters
    ----------
    job : FitJob
        The whole job: as for `extract`; its sink receives `state` and `manifest.json`, which `apply` reads.
    overwrite : bool
        Replace the result at the sink, and start over.
    config : str
        In place of `job`: path or address of its file, such as ``s3://lake/jobs/nightly.yaml``.
    overrides : list of str
        Settings that differ from the file's, such as ``windows.size=8``.
    slice : str
        The slice to run, such as ``2026-11-28``; ``current``, the one that holds the flow run's scheduled start time; or
        ``previous``, the one before that. By default ``current``, if the job uses slices.
    """
    return run_in_flow(current_job(_read, job, config, overrides, slice), overwrite=overwrite)
