"""A suggested job as a YAML file, with a comment for every choice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from emberharmony.messages import listed, printable, shortened, yaml_text
from emberharmony.suggest.roles import Guess
from emberharmony.suggest.suggestion import Suggestion
from emberharmony.suggest.table_sample import SampledColumn, TableSample

MAX_CATEGORIES: Final = 100
"""Default of `categories.max_categories`."""
_MAX_OTHERS: Final = 5


def job_text(
    sample: TableSample, suggestion: Suggestion, *, source: Sequence[str], sink: str, head: Iterable[str] = ()
) -> str:
    """Return a job file that runs as it stands.

    Parameters
    ----------
    sample : TableSample
        Rows of the table.
    suggestion : Suggestion
        The job.
    source : sequence of str
        Lines of the section `source`.
    sink : str
        Where the result goes.
    head : iterable of str
        Comments at the beginning.
    """
    lines = [
        *head,
        f"# {sample.n_rows:,} rows of {len(sample.schema):,} columns; {_looked_at(sample)}.",
        "",
        *source,
        "",
        "columns:",
        *_columns(sample, suggestion),
        "",
        *_split(suggestion),
        *_windows(suggestion),
        "",
        f"sink: {{type: parquet, path: {yaml_text(sink)}}}",
        "runtime: {max_memory_gb: 4}  # a job that needs more is refused before it reads any rows",
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _looked_at(sample: TableSample) -> str:
    if sample.is_whole:
        return "all of them were looked at"
    n_rows = sample.rows.num_rows
    return f"{n_rows:,} of them were looked at, so check the guesses" if n_rows else "guessed from names and types alone"


def _columns(sample: TableSample, suggestion: Suggestion) -> Iterator[str]:
    taken = {*suggestion.guesses.roles.names, *suggestion.drop, *suggestion.passthrough}
    guesses = (suggestion.guesses.time, suggestion.guesses.entity, suggestion.guesses.target)
    time, entity, target = (replace(g, others=tuple(n for n in g.others if n not in taken)) for g in guesses)
    yield from _role("time", time, sample)
    if time.name:
        dropped = "  null_time: drop  # rows without a time; by default they are an error"
        yield (
            dropped
            if suggestion.drops_null_times
            else f"  # null_time: drop  # leave out rows without a time{_unsorted(sample, time)}"
        )
    yield from _role("entity", entity, sample)
    yield from _role("target", target, sample)
    yield from _names("drop", suggestion.drop)
    if not suggestion.drop:
        yield "  # drop: [COLUMN]  # what a model must not see, such as what is known only after the target"
    yield from _names("passthrough", suggestion.passthrough)
    yield from _notes(sample, suggestion)


def _role(role: str, guess: Guess, sample: TableSample) -> Iterator[str]:
    names = [yaml_text(name) for name in guess.names]
    if names:
        value = names[0] if len(names) == 1 else f"[{', '.join(names)}]"
        yield f"  {role}: {value}  # {printable(guess.reason)}{_or_check(guess)}"
    else:
        yield f"  # {role}: COLUMN  # {printable(guess.reason)}"
    for name in guess.others[:_MAX_OTHERS]:
        yield f"  # {role}: {yaml_text(name)}  # {_described(sample.columns.get(name))}"
    if len(guess.others) > _MAX_OTHERS:
        yield f"  # or {len(guess.others) - _MAX_OTHERS:,} more columns"


def _or_check(guess: Guess) -> str:
    return "" if guess.is_sure else "; a guess, check it"


def _unsorted(sample: TableSample, time: Guess) -> str:
    column = sample.columns.get(time.name or "")
    if column is None or column.is_ascending:
        return ""
    return "; rows are not in time order, so the job sorts them first"


def _names(role: str, reasons: Mapping[str, str]) -> Iterator[str]:
    if not reasons:
        return
    yield f"  {role}:"
    for name, reason in reasons.items():
        yield f"    - {yaml_text(name)}  # {printable(reason)}"


def _notes(sample: TableSample, suggestion: Suggestion) -> Iterator[str]:
    """Yield comments on columns that make features, and are worth a thought."""
    taken = {*suggestion.guesses.roles.names, *suggestion.drop, *suggestion.passthrough}
    columns = [column for name, column in sample.columns.items() if name not in taken and column.n_rows]
    many = [c for c in columns if c.mean_chars and (c.n_distinct or 0) > MAX_CATEGORIES]
    if many:
        values = (f"{c.name} ({c.n_distinct:,})" for c in many)
        most = f"Texts of more than {MAX_CATEGORIES} values, of which the most frequent get a feature each"
        yield f"  # {most}: {listed(values, most=8)}"
    empty = [f"{c.name} ({c.n_null / c.n_rows:.0%})" for c in columns if c.n_null > 0.5 * c.n_rows]
    if empty:
        yield f"  # Mostly null; above 90 % of the training rows a column makes no features: {listed(empty, most=8)}"
    constant = [c.name for c in columns if c.is_constant]
    if constant:
        rows = "every row" if sample.is_whole else "the rows that were looked at"
        yield f"  # Constant in {rows}; constant columns make no features: {listed(constant, most=8)}"


def _described(column: SampledColumn | None) -> str:
    if column is None or not column.n_rows:
        return "by its type"
    n_distinct = "" if column.n_distinct is None else f"{column.n_distinct:,} values, "
    return f"{n_distinct}{shortened(str(column.type), 40)}" + (
        f", {column.n_null / column.n_rows:.0%} null" if column.n_null else ""
    )


def _split(suggestion: Suggestion) -> Iterator[str]:
    if not suggestion.is_split_by_time:
        yield "split: {method: sequential}  # by time, no row would train: most have the first time"


def _windows(suggestion: Suggestion) -> Iterator[str]:
    windows, guesses = suggestion.windows, suggestion.guesses
    strides = ", ".join(map(str, windows.strides))
    if not windows.strides:
        yield f"windows: {{strides: []}}  # {windows.reason}"
        return
    yield f"windows: {{size: {windows.size}, strides: [{strides}]}}  # rows of a window; {windows.reason}"
    if guesses.time.name:
        yield "# windows: {size: 24, strides: [1, 24], max_gap: 1h}  # of hourly rows; a gap begins another series"
