"""Sum the products of the training windows within a chunk."""

from __future__ import annotations

from prefect import task

from emberharmony.pipeline.chunk import Segment, window_states
from emberharmony.pipeline.run import Run
from emberharmony.stats.window_gram import WindowGram
from tasks.options import STEP


@task(name="windowing", **STEP)
def count_windows(run: Run, train: Segment) -> list[WindowGram]:
    """Sum the products of the training windows within a chunk."""
    return window_states(run, train)
