"""Rows of a BigQuery table, read by ranges of its key through the Storage Read API."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from emberharmony.errors import DataError
from emberharmony.features.columns import ROW_NUMBER
from emberharmony.io.bigquery.identifiers import quote
from emberharmony.io.bigquery.read import read_rows
from emberharmony.io.sources.base import no_rows
from emberharmony.io.sources.bigquery.order import sort_rows
from emberharmony.io.sources.bigquery.table import BigQueryTable
from emberharmony.nested import flat_values
from emberharmony.planning.chunks import Chunk


def read_chunk(source: BigQueryTable, chunk: Chunk, columns: Sequence[str], *, time: str | None) -> pa.Table:
    """Return exactly the chunk's rows, by time and then by the columns that order ties, with their row numbers.

    In a copy that is arranged by series, rows are ordered by entity first.

    Raises
    ------
    DataError
        If their number is not the planned one.
    """
    if not chunk.n_rows:
        return no_rows(source.schema, columns)
    by = time or source.key_name
    assert chunk.times is not None
    # If nothing else is asked for, rows of the same time are equal, and need no order.
    ties = [name for name in source.order_columns if name != by] if {*columns} - {by} else []
    condition, second = source.key(by).between(*chunk.times), source.second_order(by)
    if source.series:
        condition += f" AND {source.has_place}"
    if chunk.ties and second:
        condition += f" AND {source.key(second.column).between(*chunk.ties)}"
    table = read_where(source, list(dict.fromkeys([by, *ties, *columns])), condition)
    if table.num_rows != chunk.n_rows:
        raise DataError(
            f"{source.name}: {chunk} was planned with {chunk.n_rows:,} rows and {table.num_rows:,} came; the table was "
            f"replaced, or `where` does not always say the same. Start again with --overwrite."
        )
    rows = sort_rows(table, by=by, ties=ties).select(list(columns))
    numbers = np.arange(chunk.first_row, chunk.first_row + chunk.n_rows)
    return rows.add_column(0, ROW_NUMBER, pa.array(numbers, pa.int64()))


def read_where(source: BigQueryTable, columns: list[str], condition: str = "", *, most_rows: int | None = None) -> pa.Table:
    """Return the rows that meet an SQL condition, in no particular order; with `most_rows`, no more than so many of them."""
    paths = {name: source.dotted(name) for name in columns}
    for path in paths.values():
        quote(path)
    rows = read_rows(
        source.clients,
        source.table,
        columns=list(paths.values()),
        restriction=source.condition(condition),
        snapshot=source.snapshot,
        spec=source.spec.read,
        most_rows=most_rows,
    )
    steps = {name: tuple(path.split(".")) for name, path in paths.items()}
    return pa.table({name: flat_values(rows[path[0]], [path[1:]])[0] for name, path in steps.items()})
