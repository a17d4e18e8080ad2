"""The rows of a slice in BigQuery: the condition that reads them, and what the settings of its source say of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from emberharmony.errors import PlanError
from emberharmony.io.bigquery.schema import bigquery_type
from emberharmony.io.sources.bigquery.keys import Key
from emberharmony.io.sources.time_rows import TimeRows
from emberharmony.nested import path_of
from emberharmony.slices import SliceTimes, placeholders_in

_TIMES: Final = ("TIMESTAMP", "DATETIME", "DATE")


def slice_condition(rows: TimeRows, columns: Sequence[pa.Field], table: str) -> str:
    """Return the SQL condition for the rows of a slice. The bare column lets BigQuery prune partitions.

    Parameters
    ----------
    rows : TimeRows
        The rows. DATETIME and DATE, which have no zone, are compared with the clock in that of the slice.
    columns : sequence of pyarrow.Field
        Columns of the table, as `flat_fields` returns them.
    table : str
        The table, for messages.

    Raises
    ------
    PlanError
        If there is no such column, or it holds no times.
    """
    found = next((column for column in columns if column.name == rows.column), None)
    if found is None:
        raise PlanError(f"`columns.time` names column {rows.column!r}, which {table} does not have.")
    kind = bigquery_type(found)
    if kind not in _TIMES:
        raise PlanError(
            f"`columns.time` names column {rows.column!r} of type {kind}; a slice needs one of {', '.join(_TIMES)}."
        )
    return Key(rows.column, kind, ".".join(map(str, path_of(found)))).between(*rows.ticks(found.type))


def filled(text: str, key: str, times: SliceTimes) -> str:
    """Return a setting with the slice in the place of its placeholders.

    Parameters
    ----------
    text : str
        Value of the setting.
    key : str
        Its name below `source`.
    times : SliceTimes
        The slice, and when the rows begin that are read.

    Raises
    ------
    PlanError
        If rows of earlier slices are read as well, which the text leaves out.

    Examples
    --------
    >>> import datetime as dt
    >>> from emberharmony.slices import SlicesSpec
    >>> spec = SlicesSpec()
    >>> night = spec.named("2026-11-28")
    >>> filled("day = '{slice}'", "where", SliceTimes(spec, night, night.start))
    "day = '2026-11-28'"
    >>> filled("day = '{slice}'", "where", SliceTimes(spec, night, night.start - dt.timedelta(hours=2)))
    Traceback (most recent call last):
    emberharmony.errors.PlanError: source.where names {slice}, but rows are read from 2026-11-27T22:00:00+00:00 on, ...
    """
    names = placeholders_in(text)
    if times.slice_from < times.slice.start and "slice" in names and "slice_from" not in names:
        raise PlanError(
            f"source.{key} names {{slice}}, but rows are read from {times.slice_from.isoformat()} on, before the slice begins "
            f"(`windows.lookback` or `slices.history`), which it leaves out. Write {{slice_from}} for where they begin."
        )
    return times.fill(text)
