"""Stages as Prefect tasks: one task run does a stage of one or a few chunks; steps may be nested task runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect import Task, task

from emberharmony.pipeline.chunk_stages import PLAIN, Steps
from emberharmony.pipeline.events import ItemDone
from emberharmony.pipeline.run import RunRef
from emberharmony.pipeline.stages import STAGES, Stage, compute_stage, run_stage
from emberharmony.threads import each_ended_behind
from tasks.chunk_read import chunk_read
from tasks.datetime_features import add_datetime_features
from tasks.encode import encode_rows
from tasks.options import STAGE, steps_of
from tasks.pca import project_windows
from tasks.processes import worker_processes
from tasks.split import split_rows
from tasks.windowing import count_windows
from tasks.write import write_rows

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


def _title(stage: Stage) -> Callable[[dict[str, Any]], str]:
    """Name task runs after their chunks: `profile-7`, `profile-8-to-11`."""

    def name(parameters: dict[str, Any]) -> str:
        first, last = parameters["first"], parameters["last"]
        if stage.once:
            return stage.name
        return f"{stage.name}-{first}" if first == last else f"{stage.name}-{first}-to-{last}"

    return name


def _task_of(stage: Stage) -> Task[[RunRef, int, int, str], list[ItemDone]]:
    @task(
        name=stage.name if stage.once else f"{stage.name}-chunks",
        description=f"Run the stage {stage.name} for chunks `first` to `last`.",
        task_run_name=_title(stage),
        **STAGE,
    )
    def run(ref: RunRef, first: int, last: int, granularity: str) -> list[ItemDone]:
        processes, chunks = None if stage.once else worker_processes(), range(first, last + 1)
        if processes is not None:
            return [processes.call(run_stage, stage.name, ref, chunk) for chunk in chunks]

        def computed(chunk: int) -> Callable[[], ItemDone]:
            with steps_of(chunk):
                return compute_stage(stage.name, ref, chunk, WATCHED if granularity == "stage" else PLAIN)

        return [*each_ended_behind(computed, chunks, n_threads=1)]

    return run


TASKS = {name: _task_of(stage) for name, stage in STAGES.items()}
"""The Prefect task of every stage."""
