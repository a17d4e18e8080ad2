"""Callbacks that report the progress of a job, and the context that carries them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emberharmony.pipeline.events import ItemDone, JobPlanned, StageEnded, StageStarted

if TYPE_CHECKING:
    from emberharmony.pipeline.execute import RunResult


class Callback:
    """Hears of the events of a job, and does nothing with those whose method a subclass leaves as it is.

    Its methods are called one after another, in the process that runs the job; the work waits for them.
    """

    def planned(self, event: JobPlanned) -> None:
        """Called when the job is planned, before the first stage."""

    def stage_started(self, event: StageStarted) -> None:
        """Called when a stage begins."""

    def item_done(self, event: ItemDone) -> None:
        """Called when an item of the stage is done."""

    def stage_ended(self, event: StageEnded) -> None:
        """Called when all items of the stage are done; not called if it fails."""


@dataclass(frozen=True)
class Callbacks(Callback):
    """Several callbacks as one: each hears of every event."""

    callbacks: tuple[Callback, ...]

    def planned(self, event: JobPlanned) -> None:
        """Pass the event on."""
        for callback in self.callbacks:
            callback.planned(event)

    def stage_started(self, event: StageStarted) -> None:
        """Pass the event on."""
        for callback in self.callbacks:
            callback.stage_started(event)

    def item_done(self, event: ItemDone) -> None:
        """Pass the event on."""
        for callback in self.callbacks:
            callback.item_done(event)

    def stage_ended(self, event: StageEnded) -> None:
        """Pass the event on."""
        for callback in self.callbacks:
            callback.stage_ended(event)


_callback: ContextVar[Callback | None] = ContextVar("emberharmony_callback", default=None)
_results: ContextVar[list[RunResult] | None] = ContextVar("emberharmony_outcomes", default=None)


def current_callback() -> Callback:
    """The callback of the current context."""
    return _callback.get() or Callback()


def record_result(result: RunResult) -> None:
    """Record that a job of this context is done; its flow run may still fail to reach the Prefect server."""
    results = _results.get()
    if results is not None:
        results.append(result)


@contextmanager
def using_callback(callback: Callback) -> Iterator[list[RunResult]]:
    """Report the jobs of this context to `callback`, which flow parameters cannot carry; yields results of finished jobs."""
    results: list[RunResult] = []
    tokens = _callback.set(callback), _results.set(results)
    try:
        yield results
    finally:
        _callback.reset(tokens[0])
        _results.reset(tokens[1])
