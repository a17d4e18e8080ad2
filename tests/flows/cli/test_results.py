"""`show` and `clean` in the console."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from emberharmony.io.store.opening import result_at
from flows.cli.app import app, main
from tests.stored import publish_by_hand, stage_by_hand

RUNNER = CliRunner()


@pytest.fixture
def sink(tmp_path):
    """A result, an earlier one, and an interrupted run."""
    for text in ("first", "second"):
        publish_by_hand(tmp_path / "out", text)
    stage_by_hand(tmp_path / "out", "interrupted")
    return tmp_path / "out"


def run(*arguments) -> str:
    result = RUNNER.invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


def test_show(sink):
    lines = run("show", sink).splitlines()
    assert lines[0].split() == ["result", str(sink)]
    assert [line.split()[0] for line in lines[1:4]] == ["version", "job", "rows"]
    assert lines[-2].split(maxsplit=1) == ["versions", "1 earlier kept, of at most 1"]
    earlier = result_at(sink).versions()[1]
    assert lines[-1].split()[0] == f"{earlier.name},"
    assert "fingerprint first" in run("show", sink, "--version", earlier.name)


def test_show_as_json(sink):
    assert json.loads(run("show", sink, "--json"))["fingerprint"] == "second"


def test_clean_as_json(sink):
    said = json.loads(run("clean", sink, "--dry-run", "--keep", 0, "--json"))
    assert said["removed"] is False
    assert [leftover["what"] for leftover in said["leftovers"]] == ["interrupted run", "earlier result"]
    assert json.loads(run("clean", sink, "--keep", 0, "--json")) == said | {"removed": True}
    assert json.loads(run("clean", sink, "--json")) == {"removed": True, "leftovers": []}


def test_clean_says_what_it_would_remove_and_then_removes_it(sink):
    before = {path for path in sink.rglob("*") if path.name != ".unfinished"}
    said = run("clean", sink, "--dry-run", "--keep", 0)
    assert {path for path in sink.rglob("*") if path.name != ".unfinished"} == before
    run_line, version_line, total = said.splitlines()
    assert run_line.startswith("interrupted run  .staging/")
    assert "last written 20" in run_line
    assert version_line.startswith(f"earlier result   .versions/{result_at(sink).versions()[1].name}  ")
    assert total.startswith("Would remove 2 folders: ")
    assert total.endswith(" KiB).")
    assert run("clean", sink, "--keep", 0) == said.replace("Would remove", "Removed")
    assert run("clean", sink, "--keep", 0) == "There is nothing to remove.\n"
    assert sorted(path.name for path in sink.iterdir()) == ["features", "manifest.json", "report", "state"]


def test_slices_are_cleaned_as_well(tmp_path):
    for name in ("2026-11-27", "2026-11-28"):
        for text in ("first", "second"):
            publish_by_hand(tmp_path / f"slice={name}", text)
    stage_by_hand(tmp_path / "slice=2026-11-29", "interrupted")
    lines = run("clean", tmp_path, "--keep", 0).splitlines()
    assert [line.split("  ")[0] for line in lines[:3]] == ["earlier result", "earlier result", "interrupted run"]
    assert [line.split("slice=")[1][:10] for line in lines[:3]] == ["2026-11-27", "2026-11-28", "2026-11-29"]
    assert run("clean", tmp_path) == "There is nothing to remove.\n"


def test_a_sink_of_slices_names_them(tmp_path, monkeypatch, capsys):
    publish_by_hand(tmp_path / "slice=2026-11-28", "first")
    monkeypatch.setattr(sys, "argv", ["emberharmony", "show", str(tmp_path)])
    with pytest.raises(SystemExit):
        main()
    assert (
        f"is a sink of slices, each of which is a result of its own. Name one of them, such as {tmp_path}/slice=2026-11-28;"
        in " ".join(capsys.readouterr().err.split())
    )


@pytest.mark.parametrize("command", ["show", "clean"])
def test_nothing_is_there(tmp_path, command, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["emberharmony", command, str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "error: Nothing is published at" in capsys.readouterr().err


def test_a_run_at_work_is_named(sink):
    code = "from emberharmony.io.store.opening import result_at\nwith result_at({!r}).lease(): print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code.format(str(sink))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        holder.stdout.readline()
        result = RUNNER.invoke(app, ["clean", str(sink)])
        assert f"Another run is at work on {sink}: process {holder.pid}" in str(result.exception)
        holder.communicate("\n")
    assert run("clean", sink).splitlines()[-1].startswith("Removed 1 folder: ")


def test_a_number_below_zero_is_refused(sink):
    assert RUNNER.invoke(app, ["clean", str(sink), "--keep", "-1"]).exit_code == 2
