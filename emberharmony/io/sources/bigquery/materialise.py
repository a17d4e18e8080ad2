"""Copies that chunks are read from: of views, of queries, and of rows without an order. They expire."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from emberharmony.io.bigquery.connection import Clients
from emberharmony.io.bigquery.identifiers import TableName, quote
from emberharmony.io.bigquery.metadata import exists
from emberharmony.io.bigquery.parameters import Value
from emberharmony.io.bigquery.queries import run_query, table_of
from emberharmony.io.sources.bigquery.keys import KEY_TYPES

_LOGGER = logging.getLogger(__name__)
_LARGE_TABLE_BYTES: Final = 10**10
ROW_HASH: Final = "_eh_row_hash"
"""Column that orders a copy of rows without an order."""


def statement(sql: str) -> str:
    """Return a user's query in a form that parentheses can enclose."""
    return sql.strip().rstrip(";")


def with_row_hash(rows: str, columns: Sequence[str], where: str | None) -> str:
    """Return the query that gives each of `rows` a key: a hash of all its values.

    Rows with the same key are equal, or are ordered by their columns, so a copy that is made again has the same order. Row
    numbers (``ROW_NUMBER() OVER ()``) would differ from copy to copy, and a single worker of BigQuery would compute them. The
    hash has 62 bits, so that the difference of two keys does not overflow.
    """
    names = ", ".join(quote(name) for name in columns) or "*"
    condition = f" WHERE ({where}\n)" if where else ""
    return (
        f"SELECT *, FARM_FINGERPRINT(TO_JSON_STRING(_eh_row)) & {2**62 - 1} AS {ROW_HASH}\n"
        f"FROM (SELECT {names} FROM {rows}{condition}) AS _eh_row"
    )


def materialised(
    clients: Clients,
    sql: str,
    parameters: Mapping[str, Value],
    *,
    into: tuple[str, str],
    hours: float,
    cluster_by: str | None = None,
) -> TableName:
    """Return a table that holds the query's rows; create it unless it exists.

    Its name is a hash of the query and of the state of the tables that it reads, so a run that is started again finds the
    copy, and a run after a change makes another one. Other inputs of the query (``CURRENT_DATE()``) do not count as a change.
    The rows are clustered by `cluster_by`, if they have this column, so that reading a range of it does not scan the table.
    """
    checked = run_query(clients, sql, doing="Checking the query", parameters=parameters, dry_run=True)  # which is free
    types = {field.name: field.field_type for field in checked.schema or ()}
    cluster = f"CLUSTER BY {quote(cluster_by)}\n" if cluster_by and types.get(cluster_by) in KEY_TYPES else ""
    text = json.dumps([sql, dict(parameters), _state_of(clients, checked), cluster], sort_keys=True, default=asdict)
    digest = hashlib.sha256(text.encode()).hexdigest()[:24]
    name = TableName(*into, f"emberharmony_{digest}")
    if exists(clients, name):
        return name
    run_query(
        clients,
        f"CREATE TABLE IF NOT EXISTS {name.sql}\n{cluster}"
        f"OPTIONS (expiration_timestamp = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL {round(hours * 60)} MINUTE))\n"
        f"AS (\n{statement(sql)}\n)",
        doing=f"Materialising the query into {name}",
        parameters=parameters,
    )
    return name


def warn_of_scans(table: Any, column: str) -> None:
    """Warn that ranges of a column scan all of a large table, if the table of these metadata is not clustered by it."""
    clustered_by = next(iter(table.clustering_fields or ()), "")
    if (table.num_bytes or 0) >= _LARGE_TABLE_BYTES and clustered_by.casefold() != column.casefold():
        _LOGGER.warning(
            "%s.%s is neither partitioned nor clustered by %s: every chunk, a range of it, scans all %.0f GB. A copy would be "
            "clustered by it: give the table as `source.query: SELECT ...`, and `source.temporary_dataset`.",
            table.dataset_id,
            table.table_id,
            column,
            table.num_bytes / 1e9,
        )


def _state_of(clients: Clients, query: Any) -> list[tuple[str, str, int, int]]:
    """Return name, last change, rows and streamed rows of each table that a query reads."""
    found = []
    for name in sorted({TableName(t.project, t.dataset_id, t.table_id) for t in query.referenced_tables}):
        table = table_of(clients, name)
        changed = table.modified.isoformat() if table.modified else ""
        streamed = table.streaming_buffer.estimated_rows if table.streaming_buffer else 0
        found.append((str(name), changed, int(table.num_rows or 0), int(streamed or 0)))
    return found
