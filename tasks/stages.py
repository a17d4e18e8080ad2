"""The stages: a task run for a stage of one chunk or of a few, its steps nested in it where they are worth a record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect import task

from emberharmony.io.manifest import Manifest
from emberharmony.pipeline.chunk import PLAIN, Steps
from emberharmony.pipeline.run import RunRef
from emberharmony.pipeline.spec import spec_adapter
from emberharmony.pipeline.stages import fit_pcas_of, fit_preprocessing_of, publish_of, run_chunk
from emberharmony.pipeline.tables import sink_adapter
from tasks.chunk_read import chunk_read
from tasks.datetime_features import add_datetime_features
from tasks.encode import encode_rows
from tasks.options import STAGE
from tasks.pca import project_windows
from tasks.processes import worker_processes
from tasks.split import split_rows
from tasks.windowing import count_windows
from tasks.write import write_rows

# Made here, before Prefect starts threads: pydantic parses sources for them, and in Python 3.11 two threads that parse at a
# time end in a SystemError now and then (python/cpython#106905).
spec_adapter()
sink_adapter()

WATCHED = Steps(
    read_chunk=chunk_read,
    datetime_features=add_datetime_features,
    encode=encode_rows,
    split=split_rows,
    window_states=count_windows,
    project=project_windows,
    write_part=write_rows,
)
"""The steps as nested task runs, which the Prefect UI shows by name."""


def _work(stage: str, ref: RunRef, first: int, last: int, granularity: str) -> None:
    processes = worker_processes()
    for chunk in range(first, last + 1):
        if processes is not None:
            processes.call(run_chunk, stage, ref, chunk)
        else:
            run_chunk(stage, ref, chunk, WATCHED if granularity == "stage" else PLAIN)


def _named(stage: str) -> Callable[[dict[str, Any]], str]:
    """Name task runs after their chunks: `profile-7`, `profile-8-to-11`."""

    def name(parameters: dict[str, Any]) -> str:
        first, last = parameters["first"], parameters["last"]
        return f"{stage}-{first}" if first == last else f"{stage}-{first}-to-{last}"

    return name


# They return nothing: the flow run would keep every result, with its state, for as long as it lasts.


@task(name="profile-chunks", task_run_name=_named("profile"), **STAGE)
def profile_chunks(ref: RunRef, first: int, last: int, granularity: str) -> None:
    """Profile the training rows of chunks `first` to `last`."""
    _work("profile", ref, first, last, granularity)


@task(name="featurize-chunks", task_run_name=_named("featurize"), **STAGE)
def featurize_chunks(ref: RunRef, first: int, last: int, granularity: str) -> None:
    """Turn chunks `first` to `last` into their feature parts and their windows' states."""
    _work("featurize", ref, first, last, granularity)


@task(name="project-chunks", task_run_name=_named("project"), **STAGE)
def project_chunks(ref: RunRef, first: int, last: int, granularity: str) -> None:
    """Write the scores of the windows that begin in chunks `first` to `last`."""
    _work("project", ref, first, last, granularity)


@task(name="fit-preprocessing", **STAGE)
def fit_preprocessing(ref: RunRef) -> int:
    """Merge the profiles and fit the preprocessing; returns the number of features."""
    return fit_preprocessing_of(ref)


@task(name="fit-PCA", **STAGE)
def fit_pca(ref: RunRef) -> dict[int, list[float]]:
    """Merge the windows' states and fit one PCA per stride; returns their explained variance ratios."""
    return fit_pcas_of(ref)


@task(name="publish", **STAGE)
def publish(ref: RunRef, sink: str) -> Manifest:
    """Write the manifest and move everything from staging into place."""
    return publish_of(ref, sink)


CHUNK_TASKS = {"profile": profile_chunks, "featurize": featurize_chunks, "project": project_chunks}
