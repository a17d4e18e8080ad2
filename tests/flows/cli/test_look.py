"""The commands that look into a result take their options."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from flows.cli import report
from flows.cli.app import app


def test_the_report_goes_to_a_file_here_unless_another_is_named(monkeypatch):
    asked = []
    monkeypatch.setattr(report, "save_report", lambda *args, **options: asked.append((args, options)))
    assert CliRunner().invoke(app, ["report", "out"]).exit_code == 0
    assert CliRunner().invoke(app, ["report", "out", "-o", "x.html", "--open", "--version", "v"]).exit_code == 0
    assert asked == [
        (("out",), {"version": None, "output": Path("report.html"), "show": False}),
        (("out",), {"version": "v", "output": Path("x.html"), "show": True}),
    ]


def test_status_is_given_its_options(monkeypatch):
    given = []
    monkeypatch.setattr("flows.cli.status.show_status", lambda sink, **options: given.append((sink, options)))
    for arguments in (["out"], ["out", "--json", "-w"]):
        assert CliRunner().invoke(app, ["status", *arguments]).exit_code == 0
    assert given == [("out", {"as_json": False, "watch": False}), ("out", {"as_json": True, "watch": True})]
