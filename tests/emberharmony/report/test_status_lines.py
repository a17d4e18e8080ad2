"""What is said of a sink, for people and machines: true, and without what is not known."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from emberharmony.io.store.holder import Holder
from emberharmony.pipeline.attempt import Attempt
from emberharmony.pipeline.run_status import DoneItem, PlaceStatus, RunStatus, SinkStatus, StageStatus
from emberharmony.pipeline.stages import EXTRACT, MERGING
from emberharmony.report.status_lines import status_json, status_lines
from tests.stored import publish_by_hand

BEGAN = 1_795_910_400.0  # 2026-11-29 00:00:00 UTC
ATTEMPT = Attempt("processes", "numpy:cpu", 2, "a", 17, "2026-11-29T00:00:00.000+00:00")
HOLDER = Holder(17, "a", "2026-11-29 00:00:00 UTC", is_alive=True, silent_s=4.2)


PLAIN = [stage for stage in EXTRACT if stage not in MERGING]


def stage(number: int, n_items: int, times: list[float], n_rows: int = 1_000) -> StageStatus:
    rows = 0 if PLAIN[number].once else n_rows
    return StageStatus(PLAIN[number], n_items, n_items * rows, tuple(DoneItem(BEGAN + at, rows) for at in times))


RUN = RunStatus(
    "name",
    None,
    10_000,
    ATTEMPT,
    (
        stage(0, 10, [float(at) for at in range(1, 11)]),
        stage(1, 1, [12.0]),
        stage(2, 10, [14.0, 16.0, 18.0, 20.0, 22.0, 24.0]),
        stage(3, 1, []),
        stage(4, 10, []),
        stage(5, 1, []),
    ),
)
"""A chunk in a second is profiled, and one in two seconds featurized; it is 25 s after the beginning."""


def status(holder=HOLDER, run=RUN, published=None, **more) -> SinkStatus:
    return SinkStatus(BEGAN + 25, PlaceStatus("s3://lake/out?token=secret", holder, run, published), **more)


def lines(found: SinkStatus) -> dict[str, str]:
    return dict(status_lines(found))


def test_a_run_at_work():
    assert list(status_lines(status())) == [
        ("sink", "s3://lake/out"),
        ("run", "at work: process 17 on a, since 2026-11-29 00:00:00 UTC; last sign of life 4 s ago"),
        ("engine", "processes, 2 workers, backend numpy:cpu"),
        ("profile", "done: 10 chunks in 10 s"),
        ("fit", "done in 2 s"),
        ("featurize", "6 of 10 chunks (60 %), about 7 s left, 500 rows/s, last one 1 s ago"),
        ("fit PCA", "-"),
        ("project", "10 chunks"),
        ("publish", "-"),
        ("published", "nothing yet"),
    ]


def test_a_resumed_run_has_the_speed_of_its_present_attempt():
    resumed = replace(RUN, attempt=replace(ATTEMPT, began="2026-11-29T00:00:19.000+00:00"))
    found = lines(status(run=resumed))
    assert found["profile"] == "done: 10 chunks"
    assert found["featurize"].startswith("6 of 10 chunks (60 %), 600 rows/s")
    unnoted = lines(status(run=replace(RUN, attempt=None)))
    assert "engine" not in unnoted
    assert "500 rows/s" in unnoted["featurize"]


@pytest.mark.parametrize(
    ("holder", "text"),
    [
        (None, "interrupted; its last chunk was done 1 s ago. The same command goes on where it stopped."),
        (
            replace(HOLDER, is_alive=False, silent_s=200.0),
            "interrupted: process 17 on a, since 2026-11-29 00:00:00 UTC; it gave no sign of life for 3 min; its last chunk "
            "was done 1 s ago. The same command goes on where it stopped.",
        ),
        (
            replace(HOLDER, is_alive=False, silent_s=None),
            "interrupted: process 17 on a, since 2026-11-29 00:00:00 UTC; its process has ended; its last chunk was done 1 s "
            "ago. The same command goes on where it stopped.",
        ),
        (
            replace(HOLDER, is_alive=None, silent_s=None),
            "process 17 on a, since 2026-11-29 00:00:00 UTC; whether it is still alive cannot be told from this host; its "
            "last chunk was done 1 s ago",
        ),
    ],
)
def test_a_run_that_does_not_work_or_may_not(holder, text):
    found = lines(status(holder))
    assert found["run"] == text
    at_work = holder is not None and holder.is_alive is None
    assert found["featurize"].startswith("6 of 10 chunks (60 %)" + (", about" if at_work else ""))
    assert status_json(status(holder))["state"] == ("at work" if at_work else "interrupted")


def test_a_run_that_has_planned_nothing_yet_and_none_at_all(tmp_path):
    assert lines(status(run=None))["run"].endswith("; it has planned nothing yet")
    manifest = publish_by_hand(tmp_path, "first")
    found = lines(status(None, None, replace(manifest, created="2026-11-28T04:00:12+00:00")))
    assert found["run"] == "none is at work"
    assert found["published"].startswith("2026-11-28 04:00:12 UTC: ")
    assert found["published"].endswith(", fingerprint first")
    assert status_json(status(None, None, manifest))["state"] == "idle"


def test_publishing_is_under_way_when_all_else_is_done():
    done = tuple(replace(one, done=(DoneItem(BEGAN + 1, one.n_rows),) * one.n_items) for one in RUN.stages[:-1])
    found = replace(RUN, stages=(*done, RUN.stages[-1]))
    assert lines(status(run=found))["publish"] == "under way"
    assert lines(status(None, run=found))["publish"] == "comes next"


def test_slices_are_counted_and_those_at_work_shown():
    held = PlaceStatus("s3://lake/out/slice=2026-11-28", HOLDER, replace(RUN, slice="2026-11-28"), None)
    names = ("2026-11-27", "2026-11-28")
    shown = list(status_lines(status(None, None, slices=names, held=(held,))))
    assert shown[0] == ("sink", "s3://lake/out/slice=2026-11-28")
    assert ("slice", "2026-11-28") in shown
    assert shown[-1] == ("slices", "2: 2026-11-27 to 2026-11-28")
    idle = list(status_lines(status(None, None, slices=names)))
    assert idle == [("slices", "2: 2026-11-27 to 2026-11-28"), ("", "no run is at work on one of them")]


def test_json_says_the_same():
    found = json.loads(json.dumps(status_json(status())))
    assert (found["sink"], found["state"]) == ("s3://lake/out", "at work")
    assert found["holder"]["silent_s"] == 4.2
    run = found["run"]
    assert (run["stage"], run["rows"], run["rows_per_second"]) == ("featurize", 10_000, 500.0)
    assert run["seconds_left_of_stage"] == pytest.approx(7.0)
    assert run["last_done"] == "2026-11-29T00:00:24+00:00"
    assert run["stages"][2] == {
        "name": "featurize",
        "items": 10,
        "done": 6,
        "rows": 10_000,
        "rows_done": 6_000,
        "complete": False,
    }
    assert run["attempt"]["engine"] == "processes"
