"""A job within the current flow run: on its engine, with artifacts that show it."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from emberharmony.errors import PlanError
from emberharmony.pipeline.callback import current_callback, record_result
from emberharmony.pipeline.execute import RunResult, run_job
from flows.prefect.artifacts import ArtifactCallback, publish_summary
from flows.prefect.names import ResultName

if TYPE_CHECKING:
    from flows.config.job import AnyJob


def run_in_flow(job: AnyJob, *, overwrite: bool) -> RunResult:
    """Run a job within the current flow run, and leave its summary there.

    Raises
    ------
    EmberharmonyError
        If the job cannot be done; nothing was published then.
    """
    from prefect.runtime import deployment

    if deployment.id is not None:
        check_sink_outlives_flow_run(job.sink.path)
    name = ResultName.of(job)
    job = job.with_engine(job.engine).resolved()
    with job.engine.open(job) as engine:
        result = run_job(job, engine, ArtifactCallback(current_callback(), name), overwrite=overwrite)
    record_result(result)
    publish_summary(result, name)
    return result


def check_sink_outlives_flow_run(sink: str) -> None:
    """Refuse a relative path: the working directory of a deployment's flow run is a temporary one, which ends with it.

    Raises
    ------
    PlanError
        If the sink is neither an address nor an absolute path.

    Examples
    --------
    >>> check_sink_outlives_flow_run("gs://bucket/features")
    >>> check_sink_outlives_flow_run("data/features")
    Traceback (most recent call last):
    emberharmony.errors.PlanError: sink.path is data/features, relative to the working directory of this flow run, which ...
    """
    if "://" not in sink and not PurePath(sink).is_absolute():
        raise PlanError(
            f"sink.path is {sink}, relative to the working directory of this flow run, which ends with it. In a deployment, "
            f"give an address, such as gs://BUCKET/features, or an absolute path."
        )
