"""The progress of a job as lines of text: without a terminal, in logs, and in notebooks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from emberharmony.messages import size_text
from emberharmony.pipeline.callback import Callback
from emberharmony.pipeline.events import ItemDone, JobPlanned, StageEnded, StageStarted
from emberharmony.report.sentences import plan_sentence
from emberharmony.report.stage_progress import StageProgress

INTERVAL_S: Final = 10.0
"""Shortest time between two lines about the progress of a stage."""
MOST_INTERVAL_S: Final = 60.0
PER_LINE: Final = 0.1
"""Share of a stage's time until now that passes before the next line, so that long runs do not fill a log."""


class ProgressLines(Callback):
    """Writes a line when a stage begins, when it ends, and in between at intervals that grow with its time.

    Parameters
    ----------
    write : callable
        Gets each line.
    interval_s : float
        Time between two lines of a stage at first.
    clock : callable
        Returns seconds that only grow.
    """

    def __init__(
        self,
        write: Callable[[str], object],
        *,
        interval_s: float = INTERVAL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write, self._interval_s, self._clock = write, interval_s, clock
        self._memory: Callable[[], int] = lambda: 0
        self._progress: StageProgress | None = None
        self._told = 0.0

    def planned(self, event: JobPlanned) -> None:
        """Write the plan."""
        self._memory = event.memory
        self._write(plan_sentence(event.plan, event.backend))

    def stage_started(self, event: StageStarted) -> None:
        """Write what a stage of several items has to do."""
        self._progress, self._told = StageProgress(event, self._clock), self._clock()
        if event.n_items - event.done_items > 1:
            self._write(f"{self._progress.title}: {self._progress.begun_text()}")

    def item_done(self, event: ItemDone) -> None:
        """Write how far the stage is, if it is time to."""
        progress, now = self._progress, self._clock()
        assert progress is not None
        progress.add(event)
        interval_s = max(self._interval_s, min(PER_LINE * progress.elapsed_s, MOST_INTERVAL_S))
        if now - self._told >= interval_s and progress.done_items < progress.started.n_items:
            self._told = now
            held = self._memory()
            memory = f", {size_text(held)} of memory" if held else ""
            self._write(f"{progress.title}: {progress.text()}{memory}")

    def stage_ended(self, event: StageEnded) -> None:
        """Write how long the stage took."""
        if self._progress is not None:
            done = "" if self._progress.is_resumed_whole else "done in "
            self._write(f"{event.stage.title}: {done}{self._progress.ended_text()}")
