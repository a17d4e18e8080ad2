"""Events about results: what they hold, when they are sent, and that a lost one harms nothing."""

from __future__ import annotations

import dataclasses
import json

import pytest

from emberharmony.errors import DataError, ExpectationError, PlanError, TransientError
from emberharmony.expectations.checks import Verdict, error_of
from emberharmony.io.manifest import WindowCounts
from flows.prefect import events
from flows.prefect.events import emit_published, event_of, failures_told
from flows.prefect.names import ResultName
from tests.emberharmony.report.test_drift_rows import DRIFT
from tests.emberharmony.report.test_summary import MANIFEST, RESULT

NAME = ResultName("s3://lake/out", "2026-11-28")
SINK = "s3://lake/out/slice=2026-11-28"


@pytest.fixture
def sent(monkeypatch):
    found = []
    monkeypatch.setattr(events, "emit_event", lambda event, **given: found.append((event, given)))
    return found


def publish(**changes):
    manifest = dataclasses.replace(MANIFEST, **changes)
    result = dataclasses.replace(RESULT, manifest=manifest, sink=f"{SINK}?endpoint=http://10.0.0.1")
    emit_published(result, NAME, "apply", source="flights")


def test_a_published_result_is_told_in_small_figures_without_options_of_the_address(sent):
    outcomes = ("passed", "warned", "passed")
    publish(
        applied_state={"address": "s3://lake/state?region=eu-west-1"},
        drift={"x": DRIFT["stable"]},
        expectations=tuple({"expectation": "x.max_psi", "outcome": outcome} for outcome in outcomes),
    )
    ((event, given),) = sent
    assert event == "emberharmony.published"
    assert given["resource"] == {
        "prefect.resource.id": "emberharmony.sink.s3://lake/out",
        "prefect.resource.name": "apply out 2026-11-28",
        "emberharmony.kind": "apply",
        "emberharmony.slice": "2026-11-28",
    }
    assert given["payload"] == {
        "slice": "2026-11-28",
        "kind": "apply",
        "sink": SINK,
        "fingerprint": "0123",
        "source": "flights",
        "rows": 997,
        "rows_by_split": {"train": 800, "validation": 100, "test": 97},
        "windows": {"2": 498},
        "state": "s3://lake/state",
        "expectations": {"passed": 2, "warned": 1},
        "n_drifted": 0,
        "worst_drift": {"column": "x", "verdict": "stable", "null_share": 0.0, "null_share_change": 0.0, "psi": 0.001},
    }


def test_a_fitted_state_names_itself_and_has_no_drift(sent):
    publish()
    assert (sent[0][1]["payload"]["state"], sent[0][1]["payload"]["worst_drift"]) == (SINK, None)
    assert len(sent) == 1


def test_columns_that_drifted_far_are_an_event_of_their_own_the_worst_first(sent):
    publish(drift=DRIFT)
    assert [event for event, _ in sent] == ["emberharmony.published", "emberharmony.drift"]
    payload = sent[1][1]["payload"]
    assert [found["column"] for found in payload["drifted"]] == ["moved", "found", "lost"]
    assert payload["worst_drift"]["column"] == "moved"
    assert {found["verdict"] for found in payload["drifted"]} == {"drifted far"}
    assert payload["n_drifted"] == 3


def test_events_stay_small_however_wide_the_table(sent):
    publish(
        drift={f"column {i}": DRIFT["moved"] for i in range(10_000)},
        features=tuple(f"feature {i}" for i in range(10_000)),
        strides={"1": WindowCounts({"train": 1}, 100, (0.01,) * 100)},
    )
    with pytest.raises(DataError), failures_told(NAME, "run", is_planned=lambda: False):
        raise DataError("x" * 1_000_000)
    assert len(sent) == 3
    assert max(len(json.dumps(given)) for _, given in sent) < 4_000


@pytest.mark.parametrize(
    ("error", "is_planned", "event"),
    [
        (PlanError("no"), False, "emberharmony.refused"),
        (DataError("no"), False, "emberharmony.refused"),
        (DataError("no"), True, None),
        (TransientError("away"), False, None),
    ],
)
def test_a_job_is_refused_if_it_fails_before_its_plan_for_good(sent, error, is_planned, event):
    assert event_of(error, is_planned=is_planned) == event
    with pytest.raises(type(error)), failures_told(NAME, "run", is_planned=lambda: is_planned):
        raise error
    assert [found for found, _ in sent] == ([event] if event else [])


def test_rows_that_are_not_as_expected_have_an_event_with_the_failed_numbers(sent):
    failed = error_of([Verdict("rows.min", "failed", 3, 1000, 3)], part="2026-11-28")
    with pytest.raises(ExpectationError), failures_told(NAME, "apply", is_planned=lambda: True):
        raise failed
    ((event, given),) = sent
    assert event == "emberharmony.expectation-failed"
    assert given["payload"]["message"].startswith("Slice 2026-11-28: 1 of 1 expectations is not met")
    assert given["payload"]["n_failed"] == 1
    assert given["payload"]["failed"][0]["expectation"] == "rows.min"
    assert event_of(failed, is_planned=False) == event


def test_an_error_with_an_event_of_its_own_has_that_at_any_moment(sent, monkeypatch):
    class BoundError(DataError):
        pass

    monkeypatch.setattr(events, "EVENT_OF_ERROR", {BoundError: events.EXPECTATION_FAILED})
    with pytest.raises(BoundError), failures_told(NAME, "apply", is_planned=lambda: True):
        raise BoundError("x is beyond its bound.")
    ((event, given),) = sent
    assert event == "emberharmony.expectation-failed"
    assert (given["payload"]["error"], given["payload"]["message"]) == ("BoundError", "x is beyond its bound.")


def test_an_event_that_cannot_be_sent_is_a_warning(monkeypatch, caplog):
    def fail(*_, **__):
        raise OSError("no space")

    monkeypatch.setattr(events, "emit_event", fail)
    publish()
    with pytest.raises(PlanError, match="the reason"), failures_told(NAME, "run", is_planned=lambda: False):
        raise PlanError("the reason")
    assert [record.message for record in caplog.records] == [
        "The event emberharmony.published was not sent: no space",
        "The event emberharmony.refused was not sent: no space",
    ]
