"""The progress of a job is shown in the Prefect UI as long as the server answers, and never delays the job."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, Settings, temporary_settings

from emberharmony.pipeline.events import ItemDone, JobPlanned, StageStarted
from emberharmony.pipeline.stages import STAGES
from flows.prefect import artifacts
from flows.prefect.artifacts import ArtifactCallback, publish_summary
from flows.prefect.names import ResultName

PLAN = SimpleNamespace(spec=None, levels=0, n_rows=1_000)
URL = "http://127.0.0.1:9/api"
NAME = ResultName("s3://lake/out", "2026-11-28")


@pytest.fixture
def shown(monkeypatch):
    """What was shown, with the retries and the server of the request."""
    calls = []

    def show(value, progress=None, **_):
        progress = value if progress is None else progress
        calls.append((progress, PREFECT_CLIENT_MAX_RETRIES.value(), PREFECT_API_URL.value()))
        return "id"

    monkeypatch.setattr(artifacts, "create_progress_artifact", show)
    monkeypatch.setattr(artifacts, "update_progress_artifact", show)
    monkeypatch.setattr(artifacts, "stages_of_plan", lambda *_, **__: [STAGES["profile"], STAGES["project"]])
    return calls


@pytest.fixture(autouse=True)
def item_s(monkeypatch):
    """Let an item take so many seconds; returns how to change that."""

    def change(seconds):
        monkeypatch.setattr(artifacts, "monotonic", count(1_000.0, seconds).__next__)

    change(0.1)
    return change


def test_a_run_links_its_report(monkeypatch):
    links = []
    monkeypatch.setattr(artifacts, "create_link_artifact", lambda uri, **more: links.append((uri, more["key"])))
    monkeypatch.setattr(artifacts, "create_markdown_artifact", lambda *_, **__: None)
    monkeypatch.setattr(artifacts, "summary_markdown", lambda _: "")
    for report in (None, "s3://lake/out/.versions/a/report/report-0123.html"):
        result = SimpleNamespace(report=report, manifest=SimpleNamespace(strides={}, drift={}))
        publish_summary(result, NAME)
    assert links == [("s3://lake/out/.versions/a/report/report-0123.html", NAME.artifact_key("report"))]


def run_two_stages(callback: ArtifactCallback) -> None:
    callback.planned(JobPlanned(PLAN, "numpy:cpu", lambda: 0))
    for name in ("profile", "project"):
        callback.stage_started(StageStarted(STAGES[name], n_items=1_000, n_rows=1_000))
        for item in range(1_000):
            callback.item_done(ItemDone(item, n_rows=1))


def test_progress_grows_to_the_end_in_few_requests_without_retries(shown):
    with temporary_settings({PREFECT_API_URL: URL, PREFECT_CLIENT_MAX_RETRIES: 5}):
        run_two_stages(ArtifactCallback(NAME))
        assert PREFECT_CLIENT_MAX_RETRIES.value() == 5
    progress = [value for value, *_ in shown]
    assert progress == sorted(progress)
    assert (progress[0], progress[-1]) == (0.0, 100.0)
    assert 10 <= len(progress) <= 22
    assert {(retries, api) for _, retries, api in shown} == {(0, URL)}
    middle = 100 * STAGES["profile"].weight / (STAGES["profile"].weight + STAGES["project"].weight)
    assert min(abs(value - middle) for value in progress) < 5


def test_progress_of_a_quick_job_is_shown_once_a_second(shown, item_s):
    item_s(0.001)
    run_two_stages(ArtifactCallback(NAME))
    progress = [value for value, *_ in shown]
    assert progress == sorted(progress)
    assert (progress[0], progress[-1]) == (0.0, 100.0)
    assert 3 <= len(progress) <= 4


def test_settings_are_not_read_again(shown, monkeypatch):
    made, read = [], Settings.__init__
    monkeypatch.setattr(Settings, "__init__", lambda *given, **more: made.append(1) or read(*given, **more))
    run_two_stages(ArtifactCallback(NAME))
    assert shown
    assert not made


def test_an_outage_is_told_once_and_stops_nothing(shown, monkeypatch, caplog):
    def fail(*_, **__):
        raise httpx.ConnectError("refused", request=httpx.Request("POST", URL))

    monkeypatch.setattr(artifacts, "update_progress_artifact", fail)
    run_two_stages(ArtifactCallback(NAME))
    assert [record.message.count("The work goes on") for record in caplog.records] == [1]
