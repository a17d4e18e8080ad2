"""Commands that look into a result or at a run: the rows of a window, the report, and what is going on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import SinkArgument


def window_rows(
    result: SinkArgument,
    first_row: Annotated[int | None, typer.Option(help="The `first_row` of the window.", show_default=False)] = None,
    stride: Annotated[int | None, typer.Option(help="Stride of the window.", show_default=False)] = None,
    split: Annotated[str | None, typer.Option(help="Split of the window.", show_default=False)] = None,
    window: Annotated[int | None, typer.Option(help="Number of the window in its split, from 0.", show_default=False)] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print one line per row, as CSV.")] = False,
) -> None:
    """Show the rows of one window, in time order. Name it by --first-row, or by --stride, --split and --window."""
    from flows.cli.windows import find_window, show_window

    show_window(find_window(result, first_row=first_row, stride=stride, split=split, number=window), as_csv=csv)


def report(
    sink: SinkArgument,
    version: Annotated[str | None, typer.Option(help="A version that is kept there.", show_default=False)] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the page to this file.", show_default=False)
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Write the report of a result, one page of HTML: splits, distributions, windows, drift, and time and memory.

    It is the page that the run has written, or one of what is published, if the run wrote none. By default it is written to
    report.html.
    """
    from flows.cli.report import save_report

    save_report(sink, version=version, output=output or Path("report.html"), show=open_)


def status(
    sink: SinkArgument,
    json: Annotated[bool, typer.Option("--json", help="Print JSON; with --watch, a line for each look.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again every 5 s, until no run is at work there.")] = False,
) -> None:
    """Show a run that works elsewhere, from its store alone: who, since when, stages, chunks, speed and time left."""
    from flows.cli.status import show_status

    show_status(sink, as_json=json, watch=watch)
