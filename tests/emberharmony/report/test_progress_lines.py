"""Progress as lines: where a stage begins and ends, and in between at intervals that grow."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import pytest

from emberharmony.pipeline.events import ItemDone, JobPlanned, StageEnded, StageStarted
from emberharmony.pipeline.stages import FIT_FEATURES, PROFILE
from emberharmony.report import progress_lines
from emberharmony.report.progress_lines import ProgressLines


def lines_of(n_items: int, item_s: float, *, done: int = 0) -> list[tuple[float, str]]:
    """What a stage writes, and when."""
    now, lines = [0.0], []
    progress = ProgressLines(lambda line: lines.append((now[0], line)), clock=lambda: now[0])
    progress.stage_started(StageStarted(PROFILE, n_items, 10 * n_items, done, 10 * done))
    for item in range(n_items - done):
        now[0] += item_s
        progress.item_done(ItemDone(item, n_rows=10))
    progress.stage_ended(StageEnded(PROFILE))
    return lines


def test_a_short_stage_is_two_lines_and_that_of_one_chunk_is_one():
    assert lines_of(5, 1.0) == [(0.0, "profile: 5 chunks of 50 rows"), (5.0, "profile: done in 5.0 s, 5 chunks, 10 rows/s")]
    assert lines_of(1, 1.0) == [(1.0, "profile: done in 1.0 s, 1 chunk, 10 rows/s")]
    assert lines_of(4, 1.0, done=4) == [(0.0, "profile: done by an earlier run")]


def test_lines_come_every_ten_seconds_and_later_every_minute():
    times = [at for at, _ in lines_of(100_000, 0.1)][1:-1]
    gaps = [after - before for before, after in pairwise(times)]
    assert times[0] == pytest.approx(progress_lines.INTERVAL_S, abs=0.2)
    assert all(gap >= 9.9 for gap in gaps)
    assert 55 < max(gaps) < 61
    assert len(times) < 200


def test_the_plan_comes_first_and_memory_is_told(monkeypatch):
    now, lines = [0.0], []
    monkeypatch.setattr(progress_lines, "plan_sentence", lambda plan, backend: f"{plan.n_rows} rows on {backend}")
    progress = ProgressLines(lines.append, clock=lambda: now[0])
    progress.planned(JobPlanned(SimpleNamespace(n_rows=100), "numpy:cpu", lambda: 3 * 2**20))
    progress.stage_started(StageStarted(PROFILE, 10, 100))
    now[0] = 20.0
    progress.item_done(ItemDone(0, n_rows=10))
    assert lines == [
        "100 rows on numpy:cpu",
        "profile: 10 chunks of 100 rows",
        "profile: 1 of 10 chunks (10 %), 0.5 rows/s, 3 MiB of memory",
    ]


def test_a_stage_that_runs_once_is_one_line():
    lines = []
    progress = ProgressLines(lines.append, clock=lambda: 0.0)
    progress.stage_started(StageStarted(FIT_FEATURES, 1, 0))
    progress.item_done(ItemDone(0))
    progress.stage_ended(StageEnded(FIT_FEATURES))
    assert lines == ["fit: done in 0.0 s"]
