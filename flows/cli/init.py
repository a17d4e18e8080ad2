"""A first job file for a table."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import typer
import yaml

from emberharmony.errors import DataError, PlanError
from emberharmony.io.sources.registry import open_source
from emberharmony.io.store.address import without_query
from emberharmony.messages import listed, printable
from emberharmony.pipeline.plan import make_plan
from emberharmony.suggest.job_text import job_text
from emberharmony.suggest.looking import look_at, sink_beside, source_lines, source_named
from emberharmony.suggest.roles import Guess, given, guess_entity, guess_target, guess_time
from emberharmony.suggest.suggestion import RoleGuesses, Suggestion, suggest
from emberharmony.suggest.table_sample import TableSample
from flows.config.editor_schema import SCHEMA_LINE, schema_text
from flows.config.job import parse_job, with_sections

CHECKED_ROWS = 1_000_000
"""Largest table for which the job is planned before it is printed: planning may read the whole time column."""

Ask = Callable[[str, Guess], str | None]


@dataclass(frozen=True)
class Named:
    """Roles that the user has named; ``None`` or nothing where they are to be guessed."""

    time: str | None = None
    entity: tuple[str, ...] = ()
    target: str | None = None


def write_job(table: str, named: Named, *, output: Path | None, schema: Path | None, force: bool) -> None:
    """Write a job for a table, to a file or to standard output, and perhaps the schema that editors check it by.

    Raises
    ------
    PlanError
        If the file exists, the table has no such column, or no job could read the table; the message says why.
    DataError
        If the table cannot be read.
    """
    from flows.cli.console import print_text

    for path, option in ((output, "--output"), (schema, "--schema")):
        if path is not None and path.exists() and not force:
            raise PlanError(f"{path} exists. Name another file with {option}, or replace it with --force.")
    text = job_for(table, named, where=str(output or "job.yaml"), ask=_asked if _can_ask() else None)
    if schema is not None:
        schema.write_text(schema_text() + "\n", encoding="utf-8")
        folder = output.parent if output is not None else Path()
        text = f"{SCHEMA_LINE}{Path(os.path.relpath(schema, folder)).as_posix()}\n{text}"
    if output is None:
        print_text(text.rstrip("\n"))
        return
    output.write_text(text, encoding="utf-8")
    print_text(f"{output} is written. See what it would do: emberharmony plan {output}")


def job_for(table: str, named: Named, *, where: str = "job.yaml", ask: Ask | None = None) -> str:
    """Return the text of a job for a table.

    Parameters
    ----------
    table : str
        Path, pattern, address, or table of BigQuery.
    named : Named
        What need not be guessed.
    where : str
        Name of the job file, for its comments.
    ask : callable, optional
        Asks the user about a guess that is not sure, and returns a column, or ``None`` for none.

    Raises
    ------
    PlanError, DataError
        See `write_job`.
    """
    source = source_named(table)
    sample = look_at(open_source(source))
    if not sample.n_rows:
        raise DataError(f"{source} has no rows: there is nothing to fit features on.")
    suggestion = suggest(sample, guess_roles(sample, named, ask))
    head = [
        f"# Made by `emberharmony init {printable(without_query(table))}`.",
        f"# See what it does: `emberharmony plan {printable(where)}`; run it: `emberharmony run {printable(where)}`.",
    ]
    texts = [
        job_text(sample, option, source=source_lines(table), sink=sink_beside(without_query(table)), head=head)
        for option in _options(suggestion)
    ]
    return _first_that_plans(texts, is_checked=sample.n_rows <= CHECKED_ROWS and sample.rows.num_rows > 0)


def guess_roles(sample: TableSample, named: Named, ask: Ask | None) -> RoleGuesses:
    """Return time, entity and target: as named, else as guessed; `ask` decides where a guess is not sure."""

    def decided(role: str, names: Sequence[str], guess: Callable[[], Guess]) -> Guess:
        if names:
            return given(sample, names, role=role)
        found = guess()
        if found.is_sure or ask is None:
            return found
        answer = ask(role, found)
        if answer is None:
            return replace(found, names=(), reason="none, as you answered", is_sure=True)
        return replace(
            given(sample, [answer], role=role), others=tuple(n for n in (*found.names, *found.others) if n != answer)
        )

    fixed = (*filter(None, [named.time, named.target]), *named.entity)
    free = TableSample(
        sample.schema,
        sample.n_rows,
        sample.rows.select([name for name in sample.rows.column_names if name not in fixed]),
    )
    time = decided("time", [named.time] if named.time else [], lambda: guess_time(free))
    target = decided("target", [named.target] if named.target else [], lambda: guess_target(free, taken=time.names))
    taken = (*target.names, *fixed)
    entity = decided("entity", named.entity, lambda: guess_entity(sample, time.name, taken=taken))
    return RoleGuesses(time, entity, target)


def _options(suggestion: Suggestion) -> Iterator[Suggestion]:
    """The suggested job, and simpler ones for tables that would refuse it."""
    for option in (suggestion, suggestion.without_windows):
        yield option
        yield replace(option, drops_null_times=True)
    yield replace(suggestion.without_windows.without_rules, drops_null_times=True)


def _first_that_plans(texts: Sequence[str], *, is_checked: bool) -> str:
    """Return the first job that its table takes.

    Raises
    ------
    PlanError, DataError
        What the table has against the first one, if it takes none.
    """
    first: Exception | None = None
    for text in texts:
        job = parse_job(with_sections(yaml.safe_load(text)), where="the suggested job")
        if not is_checked:
            return text
        try:
            make_plan(job.spec, job.resources)
        except (PlanError, DataError) as error:
            first = first or error
        else:
            return text
    assert first is not None
    raise first


def _can_ask() -> bool:
    """Whether somebody sits at a terminal; standard output may be a file."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _asked(role: str, guess: Guess) -> str | None:
    """Ask which column has a role; Enter confirms the guess, and `-` means none."""
    typer.echo(f"{role}: {printable(guess.reason)}", err=True)
    if guess.others:
        typer.echo(f"  it could also be: {listed(guess.others)}", err=True)
    answer: str = typer.prompt(f"  which column is the {role}? (- for none)", default=guess.name or "-", err=True)
    return None if answer.strip() in ("-", "") else answer.strip()
