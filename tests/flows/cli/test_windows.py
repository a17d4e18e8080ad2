"""The rows of a window in the console: named in one way, printed for people or as CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pyarrow as pa
import pytest

from emberharmony.errors import PlanError
from emberharmony.report.window_rows import WindowRows
from flows.cli import windows
from flows.cli.windows import find_window, show_window

ROWS = pa.table({"row_number": [7, 3, 9], "a,b": ["x", 'say "y"', None], "value": [1.5, 1e-9, 123456.789]})


@pytest.mark.parametrize(
    "named",
    [
        {},
        {"stride": 1},
        {"stride": 1, "split": "train"},
        {"first_row": 3, "stride": 1},
        {"first_row": 3, "stride": 1, "split": "train", "number": 0},
    ],
)
def test_a_window_is_named_in_one_way(named):
    options = {"first_row": None, "stride": None, "split": None, "number": None} | named
    with pytest.raises(PlanError, match="Name a window by --first-row, or by --stride, --split and --window"):
        find_window(Path("result"), **options)


@pytest.mark.parametrize("named", [{"first_row": 0}, {"stride": 1, "split": "train", "number": 0}])
def test_the_first_of_all_is_a_window(monkeypatch, named):
    monkeypatch.setattr(windows, "rows_from", lambda result, row: ("by row", row))
    monkeypatch.setattr(windows, "rows_of_window", lambda result, **names: ("by number", names["number"]))
    options = {"first_row": None, "stride": None, "split": None, "number": None} | named
    assert find_window(Path("result"), **options) == ("by row" if "first_row" in named else "by number", 0)


def test_csv_is_read_again(capsys):
    show_window(WindowRows("train", 0, ROWS), as_csv=True)
    header, *rows = csv.reader(io.StringIO(capsys.readouterr().out))
    assert header == ROWS.column_names
    assert rows == [[str(v) if v is not None else "" for v in row.values()] for row in ROWS.to_pylist()]


def test_a_line_for_each_column(capsys):
    show_window(WindowRows("train", 1234, ROWS), as_csv=False)
    title, *lines = capsys.readouterr().out.splitlines()
    assert title == "3 rows of the train split, from its row 1,234 on, in order:"
    assert [line.split() for line in lines] == [
        ["row_number", "7", "3", "9"],
        ["a,b", "x", "say", '"y"', "null"],
        ["value", "1.5", "1e-09", "123457"],
    ]
