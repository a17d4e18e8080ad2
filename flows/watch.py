"""Watching a job: how far it is, for whoever asked to see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

from emberharmony.pipeline.plan import Plan

if TYPE_CHECKING:
    from flows.compose import Outcome


class Watcher(Protocol):
    """Whoever shows how far the job is."""

    def planned(self, plan: Plan, backend: str) -> None:
        """The job is planned; work begins."""
        ...

    def stage(self, name: str, *, done_rows: int, total_rows: int) -> None:
        """A stage begins, of which an earlier run may have done a part."""
        ...

    def advance(self, n_rows: int) -> None:
        """Some of the stage's rows are done."""
        ...


class Unwatched:
    """Nobody watches."""

    def planned(self, plan: Plan, backend: str) -> None:
        """Say nothing."""

    def stage(self, name: str, *, done_rows: int, total_rows: int) -> None:
        """Say nothing."""

    def advance(self, n_rows: int) -> None:
        """Say nothing."""


_watcher: ContextVar[Watcher | None] = ContextVar("emberharmony_watcher", default=None)
_outcomes: ContextVar[list[Outcome] | None] = ContextVar("emberharmony_outcomes", default=None)


def current_watcher() -> Watcher:
    """The watcher of the current context."""
    return _watcher.get() or Unwatched()


def note_outcome(outcome: Outcome) -> None:
    """Tell whoever watches this context that a job is done; its flow run may yet fail to reach its server."""
    outcomes = _outcomes.get()
    if outcomes is not None:
        outcomes.append(outcome)


@contextmanager
def watching(watcher: Watcher) -> Iterator[list[Outcome]]:
    """Show jobs of this context to `watcher`, which a flow's parameters could not carry; yields the outcomes of those done."""
    outcomes: list[Outcome] = []
    tokens = _watcher.set(watcher), _outcomes.set(outcomes)
    try:
        yield outcomes
    finally:
        _watcher.reset(tokens[0])
        _outcomes.reset(tokens[1])
