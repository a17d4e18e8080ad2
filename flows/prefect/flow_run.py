"""A job within the current flow run: on its engine, with artifacts that show it."""

from __future__ import annotations

from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from emberharmony.errors import PlanError
from emberharmony.io.store.address import without_query
from emberharmony.pipeline.callback import Callback, Callbacks, current_callback, record_result
from emberharmony.pipeline.execute import RunResult, run_job
from emberharmony.pipeline.job import Engine
from emberharmony.report.sentences import result_sentence
from flows.prefect.artifacts import ArtifactCallback, publish_summary
from flows.prefect.assets import materialize_sink
from flows.prefect.events import emit_published, failures_told
from flows.prefect.names import ResultName
from flows.prefect.retries import is_retry, refusals_final, resumed_or_begun
from flows.prefect.run_log import LogCallback, warnings_in

if TYPE_CHECKING:
    from flows.config.job import AnyJob


def run_in_flow(job: AnyJob, *, overwrite: bool) -> Any:
    """Run a job within the current flow run, and leave its log and its summary there.

    Returns
    -------
    State or RunResult
        Completed, with a message that says what was published. Prefect hands its data, the `RunResult`, to the flow's caller.

    Raises
    ------
    EmberharmonyError
        If the job cannot be done; nothing was published then.
    """
    from prefect.logging import get_run_logger
    from prefect.runtime import deployment
    from prefect.states import Completed

    asked, log, name = job, get_run_logger(), ResultName.of(job)
    logged = LogCallback(log)
    progress = Callbacks((logged, ArtifactCallback(name), current_callback()))
    with warnings_in(log):
        with refusals_final(), failures_told(name, job.command, is_planned=lambda: logged.is_planned):
            if deployment.id is not None:
                check_sink_outlives_flow_run(job.sink.path)
            choice = job.choose_engine()
            job = job.with_engine(choice.kind).resolved()
            log.info("Reading %s, to publish in %s.", job.source, without_query(job.sink.path))
            log.info("Engine %s: %s.", choice.kind.name, choice.reason)
            with choice.kind.open(job) as engine:
                run = partial(_run, job, engine, progress)
                result = resumed_or_begun(run, overwrite=overwrite, is_planned=lambda: logged.is_planned)
        record_result(result)
        publish_summary(result, name)
        # An earlier try of this flow run may have ended between publishing and its events.
        if result.did_work or is_retry():
            emit_published(result, name, job.command, source=str(job.source))
            materialize_sink(result, name, asked.source)
    if is_retry():  # given a state, Prefect 3.9.1 would raise the error of the first try again
        log.info(result_sentence(result))
        return result
    return Completed(message=result_sentence(result), data=result)


def _run(job: AnyJob, engine: Engine, progress: Callback, overwrite: bool) -> RunResult:
    return run_job(job, engine, progress, overwrite=overwrite)


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
