"""The second half of the job as a Prefect flow: a fitted state makes the same features of other rows."""

from __future__ import annotations

from prefect import flow

from emberharmony.pipeline.execute import RunResult
from flows.config.job import ApplyJob
from flows.config.parameters import READERS, current_job, title_of
from flows.prefect.flow_run import run_in_flow

_read = READERS["apply"]


@flow(name="apply", flow_run_name=title_of(_read), persist_result=False)
def apply(
    job: ApplyJob | None = None,
    overwrite: bool = False,
    config: str | None = None,
    overrides: list[str] | None = None,
    slice: str | None = None,
) -> RunResult:
    """Make features, windows and scores of a table with a fitted state, and measure how far its rows have drifted.

    Parameters
    ----------
    job : ApplyJob
        The whole job: where the state is published, the table, and where the result goes.
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
