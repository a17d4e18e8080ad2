"""`emberharmony plan`: its text and its JSON, in a terminal of 80 columns too."""

import io
import json

import pytest
from rich.console import Console

from flows.cli import console
from flows.cli.plan import show_plan
from flows.config.job import parse_job
from tests.jobs import small_table, write_table


@pytest.fixture
def job(tmp_path):
    source = {"path": str(write_table(small_table(400), tmp_path / "t.parquet"))}
    return parse_job({"source": source, "sink": {"path": str(tmp_path / "out")}, "columns": {"time": "t", "target": "y"}})


def test_json_holds_what_the_text_says(job, capsys):
    show_plan(job, as_json=True)
    figures = json.loads(capsys.readouterr().out)
    show_plan(job)
    text = capsys.readouterr().out
    assert figures["table"]["rows"] == 400
    assert "400 rows; 8 of 8 columns are read" in text
    assert "stride 3: about 106 train, 12 validation, 12 test" in text
    assert figures["windows"][1]["windows"] == {"train": 106, "validation": 12, "test": 12}
    assert "add --sample 1%" in text
    assert [w["code"] for w in figures["warnings"]] == ["cycle_inclusive"]
    assert text.index("Worth a look:") > text.index("walk")


def test_a_sample(job, capsys):
    show_plan(job, sample="300")
    text = capsys.readouterr().out
    assert "300 of 400 rows" in text
    assert "an estimate from 300 rows" in text
    assert "name" in text.split("Worth a look:")[1], "an identifier"


def test_it_fits_a_narrow_terminal(job, monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(console, "_out", Console(file=screen, force_terminal=True, width=80, highlight=False, soft_wrap=True))
    show_plan(job, sample="300")
    lines = screen.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("color") and "categorical" in line for line in lines)
