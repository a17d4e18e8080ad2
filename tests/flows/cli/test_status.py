"""`status` in the console: once, as JSON, and again and again while a run works."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from emberharmony.errors import DataError
from emberharmony.io.store.holder import Holder
from emberharmony.pipeline.run_status import PlaceStatus, SinkStatus
from flows.cli import status as room
from flows.cli.app import app
from tests.stored import publish_by_hand

HOLDER = Holder(17, "a", "2026-11-29 00:00:00 UTC", is_alive=True, silent_s=4.2)


def run(*arguments) -> str:
    result = CliRunner().invoke(app, ["status", *map(str, arguments)], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def sink(tmp_path):
    publish_by_hand(tmp_path / "out", "first")
    return tmp_path / "out"


@pytest.fixture
def two_looks(monkeypatch):
    """A run that is at work at two looks, and has published at the third."""
    looks, slept = [HOLDER, HOLDER, None], []
    monkeypatch.setattr(
        room.StatusReader, "read", lambda reader: SinkStatus(0.0, PlaceStatus(reader.sink, looks.pop(0), None, None))
    )
    monkeypatch.setattr(room.time, "sleep", slept.append)
    return slept


def test_what_is_published_is_shown(sink):
    lines = [line.split(maxsplit=1) for line in run(sink).splitlines()]
    assert lines[:2] == [["sink", str(sink)], ["run", "none is at work"]]
    assert lines[2][0] == "published"
    found = json.loads(run(sink, "--json"))
    assert (found["state"], found["published"]["fingerprint"], found["slices"]) == ("idle", "first", [])
    assert run(sink, "--watch") == run(sink), "there is nothing to wait for"


def test_a_watch_ends_with_the_run(two_looks):
    texts = run("out", "--watch").splitlines()
    assert [text.split(maxsplit=1)[1][:7] for text in texts if text.startswith("run")] == ["at work", "at work", "none is"]
    assert two_looks == [room.WATCH_S, room.WATCH_S]


def test_a_watch_for_machines_is_a_line_each(two_looks):
    assert [json.loads(line)["state"] for line in run("out", "--watch", "--json").splitlines()] == [
        "at work",
        "at work",
        "idle",
    ]


def test_a_place_where_nothing_is(tmp_path):
    result = CliRunner().invoke(app, ["status", str(tmp_path / "nowhere")])
    assert isinstance(result.exception, DataError)
