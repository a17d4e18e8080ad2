"""The rows of a window in the console."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from emberharmony.errors import PlanError
from emberharmony.messages import count_of
from emberharmony.report.window_rows import WindowRows, rows_from, rows_of_window


def find_window(
    result: str, *, first_row: int | None, stride: int | None, split: str | None, number: int | None
) -> WindowRows:
    """Return the rows of the window that the options name.

    Raises
    ------
    PlanError
        If the options name no window, or name it in two ways.
    """
    if first_row is not None and stride is None and split is None and number is None:
        return rows_from(result, first_row)
    if first_row is None and stride is not None and split is not None and number is not None:
        return rows_of_window(result, stride=stride, split=split, number=number)
    raise PlanError("Name a window by --first-row, or by --stride, --split and --window.")


def show_window(window: WindowRows, *, as_csv: bool) -> None:
    """Print a window's rows: a line for each column, or, as CSV, for each row."""
    from flows.cli.console import print_aligned, print_text

    if as_csv:
        print_text(_csv(window))
        return
    print_text(
        f"{count_of(window.rows.num_rows, 'row')} of the {window.split} split, from its row {window.start:,} on, in order:"
    )
    print_aligned(list(_lines(window)))


def _lines(window: WindowRows) -> Iterator[list[str]]:
    for name in window.rows.column_names:
        yield [name, *map(_text, window.rows[name].to_pylist())]


def _csv(window: WindowRows) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(window.rows.column_names)
    writer.writerows(zip(*(window.rows[name].to_pylist() for name in window.rows.column_names), strict=True))
    return text.getvalue().removesuffix("\n")


def _text(value: object) -> str:
    if value is None:
        return "null"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
