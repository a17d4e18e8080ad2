"""`--slice`, `--since` and `slices` in the console."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from emberharmony.errors import PlanError
from flows.cli import slices
from flows.cli.app import app

RUNNER = CliRunner()
TODAY = dt.datetime(2026, 11, 28, tzinfo=dt.UTC)
DAYS = [(TODAY - dt.timedelta(days=before)).strftime("%Y-%m-%d") for before in (2, 1, 0)]


def run(*arguments) -> str:
    result = RUNNER.invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def write_day(folder, day, n_rows, scale=1.0):
    begin = dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC)
    times = [begin + dt.timedelta(days=1, minutes=-10 * step) for step in range(n_rows, 0, -1)]
    rows = pa.table({"t": pa.array(times, pa.timestamp("us", "UTC")), "x": scale * np.arange(n_rows)})
    (folder / "events").mkdir(exist_ok=True)
    pq.write_table(rows, folder / f"events/{day}.parquet")


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setattr(slices, "_now", lambda: TODAY + dt.timedelta(hours=13))  # midnight may pass while a test runs
    for number, day in enumerate(DAYS):
        write_day(tmp_path, day, 50 + number)
    (tmp_path / "fit.yaml").write_text(
        f"source: {{path: {tmp_path}/events}}\nsink: {{path: {tmp_path}/states/a}}\ncolumns: {{time: t}}\n"
        "windows: {size: 3, strides: [1]}\nruntime: {engine: local}\n"
    )
    run("fit", tmp_path / "fit.yaml", "-q")
    (tmp_path / "nightly.yaml").write_text(
        f"state: {tmp_path}/states/latest\nsource: {{path: {tmp_path}/events}}\nsink: {{path: {tmp_path}/nights}}\n"
        "slices: {every: day}\nwindows: {lookback: 1h}\nruntime: {engine: local}\n"
    )
    return tmp_path / "nightly.yaml"


def test_nights(config, tmp_path):
    one = run("apply", config, "--slice", DAYS[1], "-q")
    assert "57 read; 51 apply" in one
    assert "51 apply windows" in one, "an hour of the day before completes them"
    lines = run("apply", config, "--slice", f"{DAYS[0]}..{DAYS[2]}").splitlines()
    assert lines[0] == "1 of 3 slices are published already."
    assert [line.split()[:5] for line in lines[1:]] == [
        [DAYS[0], "50", "rows,", "48", "windows"],
        [DAYS[2], "52", "rows,", "52", "windows"],
    ]
    found = json.loads(run("slices", tmp_path / "nights", "--json"))
    assert [part["rows"] for part in found] == [50, 51, 52]
    assert [line.split()[0] for line in run("slices", tmp_path / "nights").splitlines()] == ["slice", *DAYS]

    write_day(tmp_path, DAYS[0], 60)  # late rows, in a file that the next day reads as well
    lines = run("apply", config, "--since", DAYS[0]).splitlines()
    assert lines[0] == "1 of 3 slices are published already and unchanged."
    assert [line.split()[1] for line in lines[1:]] == ["60", "51"]

    run("fit", tmp_path / "fit.yaml", "-q", "--set", f"sink.path={tmp_path}/states/b", "--set", "windows.size=4")
    assert len(run("apply", config, "--since", DAYS[0]).splitlines()) == 1, "a newer state changes no earlier slice"
    assert "state     " + str(tmp_path / "states/b") in run("apply", config, "--slice", DAYS[0], "-q")


def test_a_job_that_names_slices_needs_one(config):
    with pytest.raises(PlanError, match="name the slice, such as --slice 2026-11-28"):
        run("apply", config)
    with pytest.raises(PlanError, match="one of --slice and --since"):
        run("apply", config, "--slice", DAYS[0], "--since", DAYS[0])


def test_no_slices_are_there(tmp_path):
    assert "No slices are published at" in run("slices", tmp_path)


def test_a_slice_can_be_planned(config):
    planned = " ".join(run("plan", config, "--slice", DAYS[1]).split())
    assert f"slice={DAYS[1]}: empty" in planned
    assert f"slice {DAYS[1]}: {DAYS[1]} 00:00 to {DAYS[2]} 00:00 UTC, and 1:00:00 before it for windows" in planned
