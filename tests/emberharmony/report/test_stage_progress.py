"""How far a stage is: what is said about it is true, and nothing is said that is not known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.pipeline.events import ItemDone, StageStarted
from emberharmony.pipeline.stages import FIT_FEATURES, PROFILE
from emberharmony.report.stage_progress import Pace, StageProgress, worker_labels


class Clock:
    """Seconds that a test sets."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@given(
    items=st.lists(st.tuples(st.floats(0.1, 30.0), st.integers(1, 1_000_000)), min_size=4, max_size=40),
    left=st.integers(1, 10**9),
)
def test_work_of_one_speed_is_predicted_at_that_speed(items, left):
    """However its pieces differ: a piece of n rows takes n seconds of this clock."""
    pace, now = Pace(0.0), 0.0
    for _, n in items:
        now += n
        pace.add(n, at=now)
    assert pace.per_second == pytest.approx(1.0)
    predicted = pace.seconds_left(left, at=now)
    assert predicted is None if now < 3.0 else predicted == pytest.approx(left)


def test_nothing_is_predicted_before_every_worker_has_done_a_few():
    pace = Pace(0.0)
    for n_done in range(1, 10):
        pace.add(100, at=2.0 * n_done)
        known = pace.seconds_left(1_000, at=2.0 * n_done, n_workers=4)
        assert (known is None) == (n_done <= 8)
    quick = Pace(0.0)
    for n_done in range(1, 10):
        quick.add(100, at=0.1 * n_done)
    assert quick.seconds_left(1_000, at=0.9) is None, "a second is too short to tell"


def test_bursts_of_many_workers_are_smoothed():
    """Eight workers that end at the same moment: the prediction counts down evenly in between."""
    pace, left = Pace(0.0), 80_000
    for burst in range(1, 6):
        for _ in range(8):
            pace.add(1_000, at=10.0 * burst)
            left -= 1_000
    assert pace.seconds_left(left, at=50.0, n_workers=8) == pytest.approx(50.0)
    assert pace.seconds_left(left, at=54.0, n_workers=8) == pytest.approx(46.0)


def test_the_latest_speed_counts_most():
    pace = Pace(0.0)
    for second in range(1, 101):
        pace.add(1_000, at=float(second))
    for second in range(101, 301):
        pace.add(100, at=float(second))
    assert pace.per_second == pytest.approx(100, rel=0.05)


def test_a_run_that_hangs_is_not_told_to_end_soon():
    pace = Pace(0.0)
    for second in range(1, 11):
        pace.add(10, at=float(second))
    assert pace.seconds_left(100, at=12.0) == pytest.approx(8.0)
    assert pace.seconds_left(100, at=1_000.0) > 900


def test_rows_of_an_earlier_run_count_as_done_but_not_as_speed():
    clock = Clock()
    progress = StageProgress(StageStarted(PROFILE, 10, 1_000, done_items=5, done_rows=500), clock)
    clock.now = 2.0
    progress.add(ItemDone(7, n_rows=100, n_bytes=3_000, worker="a:1"))
    assert progress.share == 0.6
    assert progress.rows_per_second == 50.0
    assert progress.text() == "6 of 10 chunks (60 %), 50 rows/s, 3 KiB written"
    assert progress.begun_text() == "10 chunks of 1,000 rows, of which an earlier run has done 5"
    assert progress.ended_text() == "2.0 s, 1 chunk, 50 rows/s, 3 KiB written"


def test_stages_that_run_once_have_no_speed_and_those_done_say_so():
    clock = Clock()
    once = StageProgress(StageStarted(FIT_FEATURES, 1, 0), clock)
    assert (once.share, once.facts(), once.seconds_left) == (0.0, [], None)
    clock.now = 1.5
    once.add(ItemDone(0, n_bytes=2_048))
    assert (once.share, once.ended_text()) == (1.0, "1.5 s, 2 KiB written")
    whole = StageProgress(StageStarted(PROFILE, 4, 100, done_items=4, done_rows=100), clock)
    assert (whole.share, whole.ended_text()) == (1.0, "done by an earlier run")
    assert StageProgress(StageStarted(PROFILE, 0, 0), clock).share == 1.0


def test_each_worker_is_counted():
    progress = StageProgress(StageStarted(PROFILE, 4, 400), Clock())
    for item, worker in enumerate(["a:1", "b:2", "a:1"]):
        progress.add(ItemDone(item, n_rows=100, worker=worker))
    assert {name: (worker.n_items, worker.n_rows) for name, worker in progress.workers.items()} == {
        "a:1": (2, 200),
        "b:2": (1, 100),
    }


def test_workers_of_two_hosts_are_told_apart():
    names = {"a:7/1": 0, "a:7/2": 0, "b:7/1": 0}
    assert worker_labels(names) == ["a, process 7, thread 1", "a, process 7, thread 2", "b, process 7, thread 1"]
