"""Sum the products of the training windows within a chunk."""

from __future__ import annotations

from prefect import task

from emberharmony.series import Segment
from emberharmony.stats.window_gram import WindowGram
from emberharmony.steps.featurize import window_states
from emberharmony.windows import WindowSpec
from tasks.options import step


@task(**step("windowing"))
def count_windows(train: Segment, windows: WindowSpec) -> list[WindowGram]:
    """Sum the products of the training windows within a chunk."""
    return window_states(train, windows)
