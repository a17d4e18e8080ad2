"""Watching a job: how far it is, for whoever asked to see."""

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
    """Whoever shows how far the job is."""

    def planned(self, plan: Plan, backend: str) -> None:
        """The job is planned; work begins."""
        ...

    def stage(self, stage: Stage, *, done_rows: int, total_rows: int) -> None:
        """A stage begins, of which an earlier run may have done a part."""
        ...

    def advance(self, n_rows: int) -> None:
        """Some of the stage's rows are done."""
        ...


class NullCallback:
    """Nobody watches."""

    def planned(self, plan: Plan, backend: str) -> None:
        """Say nothing."""

    def stage(self, stage: Stage, *, done_rows: int, total_rows: int) -> None:
        """Say nothing."""

    def advance(self, n_rows: int) -> None:
        """Say nothing."""


_callback: ContextVar[Callback | None] = ContextVar("emberharmony_callback", default=None)
_results: ContextVar[list[RunResult] | None] = ContextVar("emberharmony_outcomes", default=None)


def current_callback() -> Callback:
    """The callback of the current context."""
    return _callback.get() or NullCallback()


def record_result(result: RunResult) -> None:
    """Tell whoever watches this context that a job is done; its flow run may yet fail to reach its server."""
    results = _results.get()
    if results is not None:
        results.append(result)


@contextmanager
def using_callback(callback: Callback) -> Iterator[list[RunResult]]:
    """Show jobs of this context to `callback`, which a flow's parameters could not carry; yields the results of those done."""
    results: list[RunResult] = []
    tokens = _callback.set(callback), _results.set(results)
    try:
        yield results
    finally:
        _callback.reset(tokens[0])
        _results.reset(tokens[1])
