"""The whole job as a Prefect flow."""

from __future__ import annotations

from prefect import flow

from emberharmony.pipeline.execute import RunResult
from flows.config.job import Job
from flows.config.parameters import READERS, current_job, title_of
from flows.prefect.flow_run import run_in_flow

_read = READERS["extract"]


@flow(name="extract", flow_run_name=title_of(_read), persist_result=False)
def extract(
    job: Job | None = None,
    overwrite: bool = False,
    config: str | None = None,
    overrides: list[str] | None = None,
    slice: str | None = None,
) -> RunResult:
    """Turn a table into features, windows and fitted state.

    Parameters
    ----------
    job : Job
        The whole job: source, sink, and the settings of every step, as in the files of `configs/`.
    overwrite : bool
        Replace the result at the sink, and start over. Without it an interrupted run resumes, and a finished one does nothing.
    config : str
        In place of `job`: path or address of its file, such as ``s3://lake/jobs/nightly.yaml``.
    overrides : list of str
        Settings that differ from the file's, such as ``windows.size=8``.
    slice : str
        The slice to run, such as ``2026-11-28``; ``current``, the one that holds the flow run's scheduled start time; or
        ``previous``, the one before that. By default ``current``, if the job uses slices.
    """
    return run_in_flow(current_job(_read, job, config, overrides, slice), overwrite=overwrite)
