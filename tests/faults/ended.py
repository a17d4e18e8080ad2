"""Runs that end at a change of the file system, in this process, and the next run, which completes them.

Such a run is not killed, which would take a process for each moment. From its last moment on, nothing that it does changes the
file system: neither what it would still write, nor what it would clean up.
"""

from __future__ import annotations

import gc
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from emberharmony.pipeline.execute import run_job
from flows.config.job import parse_job
from flows.engines.local import LocalEngine
from tests.faults.victims import CHANGES, contents, receipts


class Killed(BaseException):
    """What a run ends with that is dead."""


class Changes:
    """Counts changes of the file system, and lets none happen from the `last` one on."""

    def __init__(self, patch: pytest.MonkeyPatch, last: int | None = None) -> None:
        self.n, self.last = 0, last
        for name in CHANGES:
            patch.setattr(os, name, self._counted(getattr(os, name)))

    def _counted(self, change):
        def counted(*args, **kwargs):
            self.n += 1
            if self.last is not None and self.n >= self.last:
                raise Killed
            return change(*args, **kwargs)

        return counted


class Noting(LocalEngine):
    """A local engine that notes what is pending, and how many changes there were, when a stage began."""

    def __init__(self, changes: Changes) -> None:
        super().__init__(1)
        self.changes, self.at, self.pending = changes, {}, {}

    def map(self, stage, ref, chunks):
        self.at[stage.name], self.pending[stage.name] = self.changes.n, len(chunks)
        return super().map(stage, ref, chunks)


def undisturbed_run(job: dict[str, Any]) -> tuple[dict[str, str], Noting]:
    """The result of a run that nothing ends, and its engine."""
    with pytest.MonkeyPatch.context() as patch:
        engine = Noting(Changes(patch))
        run_job(parse_job(job), engine)
    return contents(Path(job["sink"]["path"])), engine


def assert_completed(job: dict[str, Any], undisturbed: tuple[dict[str, str], Noting], *, last: int, n_workers: int) -> None:
    """End a run at its `last` change of the file system; the next one does what is left, and has the same result."""
    with pytest.MonkeyPatch.context() as patch:
        Changes(patch, last)
        with pytest.raises(Killed):
            run_job(parse_job(job), LocalEngine(n_workers))
    gc.collect()  # threads and their errors refer to each other, and to the lock
    assert_goes_on(job, undisturbed)


def assert_goes_on(job: dict[str, Any], undisturbed: tuple[dict[str, str], Noting]) -> None:
    """The next run does what an ended one has left, and has the same result."""
    expected, engine = undisturbed
    done = Counter(path.parent.name for path in receipts(job))
    with pytest.MonkeyPatch.context() as patch:
        again = Noting(Changes(patch))
        run_job(parse_job(job), again)
    assert contents(Path(job["sink"]["path"])) == expected
    assert {stage: n - done[stage] for stage, n in engine.pending.items()} == again.pending, "what is done is not done again"
