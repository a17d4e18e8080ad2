"""Callbacks that report the progress of a job, and the context that carries them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

from emberharmony.pipeline.plan import Plan

if TYPE_CHECKING:
    from emberharmony.pipeline.execute import RunResult
    from emberharmony.pipeline.stages import Stage


class Callback(Protocol):
    """Reports the progress of a job."""

    def planned(self, plan: Plan, backend: str) -> None:
        """Called when the job is planned, before the first stage."""
        ...

    def stage(self, stage: Stage, *, done_rows: int, total_rows: int) -> None:
        """Called when a stage begins; an earlier run may have done some of its rows."""
        ...

    def advance(self, n_rows: int) -> None:
        """Called when more rows of the stage are done."""
        ...


class NullCallback:
    """Reports nothing: used if no callback is set."""

    def planned(self, plan: Plan, backend: str) -> None:
        """Do nothing."""

    def stage(self, stage: Stage, *, done_rows: int, total_rows: int) -> None:
        """Do nothing."""

    def advance(self, n_rows: int) -> None:
        """Do nothing."""


_callback: ContextVar[Callback | None] = ContextVar("emberharmony_callback", default=None)
_results: ContextVar[list[RunResult] | None] = ContextVar("emberharmony_outcomes", default=None)


def current_callback() -> Callback:
    """The callback of the current context."""
    return _callback.get() or NullCallback()


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
