"""Output of the command: progress, summaries, reports and errors."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from emberharmony.backend import backend_report
from emberharmony.errors import PlanError
from emberharmony.io.store.address import without_query
from emberharmony.messages import printable, shortened
from emberharmony.pipeline.execute import RunResult
from emberharmony.report.elapsed import Elapsed, process_age_s
from emberharmony.report.summary import summary_lines
from flows.cli.live_progress import shown_progress
from flows.cli.streams import OutputError, StandardError, output_errors
from flows.config.job import AnyJob
from flows.config.settings import settings_markdown
from flows.engines.interrupt import stoppable
from flows.prefect.run_log import records_to
from flows.run import quiet_prefect, run, same_command

MAX_PADDED_CHARS = 60
"""Largest width of a column; a longer name is printed in full and breaks the alignment of its row only."""
MAX_MESSAGE_CHARS = 4_000
"""Largest number of characters of an error or warning."""


class _OutputConsole(Console):
    """A console for standard output that lets its user handle a closed pipe."""

    def on_broken_pipe(self) -> None:
        """Raise the current error again, instead of ending the process."""
        raise


_out = _OutputConsole(highlight=False, soft_wrap=True)
_err = Console(file=StandardError(), highlight=False, soft_wrap=True)


class _Warnings(logging.Handler):
    """Prints warnings above the progress bars; Prefect's own output is not shown in ad hoc runs."""

    def emit(self, record: logging.LogRecord) -> None:
        _warn(record.getMessage())


def warnings_shown() -> AbstractContextManager[None]:
    """Show warnings of outages, retries and busy pools, during which a run would seem to hang."""
    return records_to(_Warnings(logging.WARNING))


def run_and_show(job: AnyJob, *, overwrite: bool, quiet: bool, verify: bool = False) -> None:
    """Run a job, show its progress, and print a summary."""
    loading_s = process_age_s()
    quiet_prefect()
    choice = job.choose_engine()
    result = run_with_progress(job.with_engine(choice.kind), overwrite=overwrite, quiet=quiet, verify=verify)
    try:
        with output_errors():
            around = "Prefect's server and flow run" if choice.kind.uses_prefect else "the rest"
            why = f"{result.engine}: {choice.reason}. {choice.hint}".rstrip()
            show_outcome(result, Elapsed(process_age_s(), loading_s, result.seconds, around), why)
    except OutputError as error:
        if not isinstance(error.__cause__, BrokenPipeError):  # the reader has closed the pipe on purpose
            _warn(f"{result.sink} is published, but the summary cannot be printed: {error.reason}.")


def run_with_progress(job: AnyJob, *, overwrite: bool, quiet: bool, verify: bool = False) -> RunResult:
    """Run a job and show its progress and warnings; when it is stopped, say how it goes on."""
    again, progress = same_command(overwrite), shown_progress(_err, quiet=quiet)
    advice = f"Stopped. What is done is kept in {without_query(job.sink.path)}; run {again} again to go on where it stopped."
    with warnings_shown(), stoppable(advice, at_once=progress.close), progress:
        return run(job, progress, overwrite=overwrite, verify=verify)


def show_outcome(result: RunResult, elapsed: Elapsed, engine: str) -> None:
    """Print the summary of a run, how long it took, and which engine ran it."""
    if not result.did_work:
        fingerprint = result.manifest.fingerprint
        text = f"Nothing to do: {result.sink} already holds this result (fingerprint {fingerprint})."
        _out.print(printable(text), markup=False)
    outputs = [("" if i else "output", output) for i, output in enumerate(result.outputs)]
    engines = [("engine", engine)] if result.did_work else []
    print_table([*summary_lines(result, elapsed), *engines, *outputs])


def show_settings(section: str | None = None) -> None:
    """Print the settings of a job: as tables in a terminal, as Markdown otherwise."""
    from rich.markdown import Markdown  # late: slow to import, and no run needs it

    text = settings_markdown(section)
    _out.print(Markdown(text) if _out.is_terminal else text, markup=False)


def show_backends(*, as_json: bool = False) -> None:
    """Print the backends, which one is chosen, and why, for people or as JSON."""
    rows = [("", "backend", "version", "device", "float64", "why")]
    try:
        report = backend_report()
    except ValueError as error:
        raise PlanError(f"EMBERHARMONY_BACKEND: {error}") from error
    if as_json:
        print_json([asdict(row) for row in report])
        return
    for row in report:
        double = "" if row.float64 is None else "yes" if row.float64 else "no"
        device = row.default_device or ", ".join(row.devices)
        rows.append(("*" if row.chosen else "", row.name, row.version or "not installed", device, double, row.reason))
    print_aligned(rows)


def print_table(lines: Sequence[Sequence[str]]) -> None:
    """Print lines of cells in columns; in a terminal they are wrapped at its width, and no name is cut."""
    if not _out.is_terminal:
        print_aligned(lines)
        return
    _out.print(_grid(lines))


def _grid(lines: Sequence[Sequence[str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for _ in lines[0]:
        table.add_column(overflow="fold")
    for line in lines:
        table.add_row(*(Text(printable(cell)) for cell in line))  # not markup: columns may be named "[x]"
    return table


@contextmanager
def drawn_in_place() -> Iterator[Callable[[Sequence[tuple[str, str]]], None] | None]:
    """Yield a function that draws labels and texts in the place of those before; ``None`` without a terminal."""
    if not _out.is_terminal or _out.is_dumb_terminal:
        yield None
        return
    from rich.live import Live  # late: only who watches needs it

    with Live(console=_out, auto_refresh=False, transient=True) as live:
        yield lambda lines: live.update(_grid(lines), refresh=True)


def print_text(text: str) -> None:
    """Print a text, line by line."""
    for line in text.split("\n"):
        _out.print(printable(line), markup=False)


def print_json(content: object) -> None:
    """Print JSON, indented for people."""
    print_text(json.dumps(content, indent=1, ensure_ascii=False))


def print_aligned(lines: Sequence[Sequence[str]]) -> None:
    """Print lines of cells, each column as wide as its widest cell."""
    printed = [[printable(cell) for cell in line] for line in lines]
    widths = [min(max(map(len, column)), MAX_PADDED_CHARS) for column in zip(*printed, strict=True)]
    for line in printed:
        _out.print("  ".join(map(str.ljust, line, widths)).rstrip(), markup=False)


def show_note(text: str) -> None:
    """Print to a terminal what takes a while; nothing where nobody waits."""
    if _err.is_terminal:
        _err.print(printable(text), markup=False)


def show_error(error: Exception) -> None:
    """Print an error for the user."""
    _err.print(f"[bold red]error:[/] {_escaped(error)}")


def _warn(message: str) -> None:
    _err.print(f"[yellow]warning:[/] {_escaped(message)}")


def _escaped(text: object) -> str:
    from rich.markup import escape

    return escape(printable(shortened(str(text), MAX_MESSAGE_CHARS), keep="\n"))
