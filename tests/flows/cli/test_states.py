"""`states` and `compare` in the console."""

from __future__ import annotations

import json
import sys

import pytest
from typer.testing import CliRunner

from flows.cli.app import app, main
from tests.jobs import run_small, small_table, write_table
from tests.stored import publish_by_hand

RUNNER = CliRunner()
STATE = {"state/job.json": b"{}"}


def run(*arguments) -> str:
    result = RUNNER.invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


def test_states(tmp_path):
    for name in ("2026-11-16", "2026-11-23"):
        publish_by_hand(tmp_path / name, f"of-{name}", contents=STATE)
    header, first, second = run("states", tmp_path).splitlines()
    assert header.split()[:2] == ["state", "created"]
    assert (first.split()[:2], first.split()[-1]) == (["latest", "2026-11-23"], "of-2026-11-23")
    assert second.split()[0] == "2026-11-16"
    assert json.loads(run("states", tmp_path, "--json"))["latest"] == "2026-11-23"


def test_compare(tmp_path):
    for number, name in enumerate(("2026-11-16", "2026-11-23")):
        source = write_table(small_table(200, seed=number), tmp_path / f"{name}.parquet")
        run_small(source, tmp_path / "states" / name, columns={"time": "t", "drop": ["name"]}, windows={"strides": [1]})
    lines = run("compare", tmp_path / "states" / "2026-11-16", tmp_path / "states" / "latest").splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["A", "B"]
    assert lines[1].split()[1] == f"{tmp_path / 'states' / '2026-11-23'}:"
    assert any("medians moved" in line for line in lines)
    found = json.loads(run("compare", tmp_path / "states" / "2026-11-16", tmp_path / "states" / "latest", "--json"))
    assert found["state"]["rows"] == [160, 160]


@pytest.mark.parametrize("arguments", [("states", "x"), ("compare", "x/latest", "x")])
def test_no_state_is_there(tmp_path, arguments, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["emberharmony", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "error: x holds no published state. Fit one with" in capsys.readouterr().err
