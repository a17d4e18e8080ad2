"""The bar in a terminal: what it shows fits its width, and nothing of it is left behind."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from emberharmony.pipeline.events import ItemDone, JobPlanned, StageEnded, StageStarted
from emberharmony.pipeline.stages import FIT_FEATURES, PROFILE
from flows.cli import live_progress
from flows.cli.live_progress import LiveProgress, PlainProgress, shown_progress


def terminal(width: int, height: int = 24, encoding: str = "utf-8") -> Console:
    screen = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    return Console(file=screen, force_terminal=True, width=width, height=height, color_system=None, soft_wrap=True)


def drawn(console: Console, progress: LiveProgress) -> list[str]:
    with console.capture() as captured:
        console.print(progress._drawn(), end="")
    return captured.get().splitlines()


def at_work(console: Console, n_workers: int) -> LiveProgress:
    """Of a stage whose first 40 of 100 chunks took no time."""
    progress = LiveProgress(console)
    progress._job = JobPlanned(SimpleNamespace(), "numpy:cpu", lambda: 400 * 2**20)
    progress.stage_started(StageStarted(PROFILE, 100, 100_000))
    for item in range(40):
        progress.item_done(ItemDone(item, n_rows=1_000, n_bytes=2**20, worker=f"host:{100 + item % n_workers}"))
    return progress


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 200])
@pytest.mark.parametrize("n_workers", [1, 3, 20])
def test_every_line_fits(width, n_workers):
    console = terminal(width)
    lines = drawn(console, at_work(console, n_workers))
    assert all(len(line) <= width for line in lines)
    assert lines[0].startswith("profile")
    assert len(lines) <= live_progress.MOST_WORKERS + 3
    if width >= 60:
        assert all(fact in "\n".join(lines) for fact in ("40/100 chunks", "rows/s", "40 MiB written", "400 MiB memory"))
        assert ("━" in lines[0]) is True
    if width >= 40:
        assert any("process 101  " in line for line in lines) == (n_workers > 1)
        assert ("and 12 more" in lines[-1]) == (n_workers == 20)


def test_the_bar_is_as_full_as_the_stage_is():
    console = terminal(200, encoding="ascii")
    bar = drawn(console, at_work(console, 1))[0]
    assert (bar.count("#"), bar.count("-")) == (16, 24)


def test_a_low_terminal_shows_few_workers():
    console = terminal(80, height=8)
    assert len(drawn(console, at_work(console, 200))) <= 7


def test_a_job_that_takes_a_while_to_start_says_so(monkeypatch):
    console, now = terminal(80), [100.0]
    monkeypatch.setattr(live_progress.time, "monotonic", lambda: now[0])
    progress = LiveProgress(console)
    assert drawn(console, progress) == []
    now[0] += 12.3
    assert drawn(console, progress) == ["starting   12 s"]
    progress._job = JobPlanned(SimpleNamespace(), "numpy:cpu", lambda: 0)
    assert drawn(console, progress) == [], "between two stages"


def test_stages_leave_a_line_each_and_the_bar_goes():
    console = terminal(80)
    with LiveProgress(console) as progress:
        progress.stage_started(StageStarted(FIT_FEATURES, 1, 0))
        progress.item_done(ItemDone(0))
        progress.stage_ended(StageEnded(FIT_FEATURES))
        progress.stage_started(StageStarted(PROFILE, 4, 400))
        progress.item_done(ItemDone(0, n_rows=100))
        progress.close()
        progress.close()
    shown = console.file.buffer.getvalue().decode()
    assert "fit        0.0 s" in shown
    assert shown.endswith("profile    stopped at 1 of 4 chunks (25 %)\n")
    hidden, shown_again = "\x1b[?25l", "\x1b[?25h"
    assert shown.rindex(shown_again) > shown.rindex(hidden), "the cursor is back"


def test_an_error_of_the_block_is_not_swallowed():
    console = terminal(80)
    with pytest.raises(ZeroDivisionError), LiveProgress(console):
        raise ZeroDivisionError


def test_who_gets_which(monkeypatch):
    assert type(shown_progress(terminal(80), quiet=False)) is LiveProgress
    assert type(shown_progress(Console(file=io.StringIO()), quiet=False)) is PlainProgress
    quiet = shown_progress(terminal(80), quiet=True)
    with quiet:
        quiet.stage_started(StageStarted(PROFILE, 4, 400))
    monkeypatch.setenv("TERM", "dumb")
    assert type(shown_progress(Console(file=io.StringIO(), force_terminal=True), quiet=False)) is PlainProgress
