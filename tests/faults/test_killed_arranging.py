"""Law 3 where rows are arranged: a run that ends at any change of the file system is completed by the next one.

The run is not killed, which would take a process for each of twenty moments. From its last moment on, nothing that it does
changes the file system: neither what it would still write, nor what it would clean up. Runs on Prefect's threads and on Dask
that arrange rows are killed in `test_killed_engines`.
"""

from __future__ import annotations

import gc
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from emberharmony.pipeline.execute import run_job
from flows.config.job import parse_job
from flows.engines.local import LocalEngine
from tests.faults.victims import contents, receipts, small_job

# A lock of a dead run is not closed in this process, but by it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

N_MOMENTS = 20
MANY_SERIES = {
    "columns": {"time": "t", "entity": "color", "target": "y", "drop": ["name"]},
    "windows": {"strides": []},
}
CHANGES = ("link", "replace", "rename", "unlink", "rmdir")


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


class Arranging(LocalEngine):
    """A local engine that notes what is pending, and how many changes there were, when a stage began."""

    def __init__(self, changes: Changes) -> None:
        super().__init__(1)
        self.changes, self.at, self.pending = changes, {}, {}

    def map(self, stage, ref, chunks):
        self.at[stage.name], self.pending[stage.name] = self.changes.n, len(chunks)
        return super().map(stage, ref, chunks)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("arranging")


@pytest.fixture(scope="module", autouse=True)
def pieces():
    """Seven pieces of the table instead of one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("emberharmony.planning.memory.INPUT_ROWS", 250)
        yield


@pytest.fixture(scope="module")
def undisturbed(folder) -> tuple[dict[str, str], Arranging]:
    """The result of an undisturbed run, and its engine."""
    with pytest.MonkeyPatch.context() as patch:
        engine = Arranging(Changes(patch))
        run_job(parse_job(small_job(folder, sink="undisturbed", **MANY_SERIES)), engine)
    return contents(folder / "undisturbed"), engine


@pytest.mark.parametrize("moment", range(N_MOMENTS))
def test_ended_at_any_change_of_the_file_system(undisturbed, folder, moment, monkeypatch):
    expected, engine = undisturbed
    job = small_job(folder, sink=f"killed-{moment}", **MANY_SERIES)
    moments = np.linspace(engine.at["partition"] + 1, engine.at["profile"], N_MOMENTS).astype(int)
    assert len(np.unique(moments)) == N_MOMENTS
    with monkeypatch.context() as patch:
        Changes(patch, int(moments[moment]))
        with pytest.raises(Killed):
            run_job(parse_job(job), LocalEngine(1 + 2 * (moment % 2)))  # every other time on several threads
    gc.collect()  # threads and their errors refer to each other, and to the lock
    done = Counter(path.parent.name for path in receipts(job))
    again = Arranging(Changes(monkeypatch))
    run_job(parse_job(job), again)
    assert contents(Path(job["sink"]["path"])) == expected
    assert {stage: n - done[stage] for stage, n in engine.pending.items()} == again.pending, "what is done is not done again"
