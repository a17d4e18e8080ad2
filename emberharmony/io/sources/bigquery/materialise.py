"""Copies that chunks are read from: of views, of queries, and of rows in another order than the job's. They expire."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

import pyarrow as pa

from emberharmony.errors import PlanError
from emberharmony.io.bigquery.connection import Clients
from emberharmony.io.bigquery.failures import google_errors, raise_explained
from emberharmony.io.bigquery.identifiers import TableName, quote
from emberharmony.io.bigquery.metadata import find, partitions_expire
from emberharmony.io.bigquery.parameters import Value
from emberharmony.io.bigquery.queries import query_row, rest_retry, run_query, table_of
from emberharmony.io.sources.base import KEY_BITS
from emberharmony.io.sources.bigquery.keys import KEY_TYPES, Key
from emberharmony.io.sources.bigquery.partition_clauses import by_hash, by_values, n_partitions
from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec

_LOGGER = logging.getLogger(__name__)
_LARGE_TABLE_BYTES: Final = 10**9
"""From here on, a table makes so many chunks that one copy costs less than a scan for each, however wide its rows are."""
ROW_HASH: Final = "_eh_row_hash"
"""Column that orders a copy of rows without an order."""
ENTITY_KEY: Final = "_eh_entity"
"""Column that orders a copy of many series by entity."""


@dataclass(frozen=True)
class Series:
    """How the rows of a copy are arranged: by entity, then by one column."""

    entity: tuple[str, ...]
    """None if all rows are one series."""
    then: str
    """The time, the key, or `ROW_HASH` in a job with neither."""
    needed: Callable[[pa.Schema], Collection[str]] | None = None
    """Returns the columns of a table that the job needs; asked before the copy is made."""


def statement(sql: str) -> str:
    """Return a user's query in a form that parentheses can enclose."""
    return sql.strip().rstrip(";")


def with_keys(rows: str, columns: Sequence[str], where: str, *, of_rows: bool = True, entity: Sequence[str] = ()) -> str:
    """Return the query that gives each of `rows` the keys of its order, which cannot be read from the table.

    Parameters
    ----------
    rows : str
        What stands behind FROM.
    columns : sequence of str
        Columns to copy; all if empty.
    where : str
        Condition on the rows; all if empty.
    of_rows : bool
        Whether a row gets a hash of all its values (`ROW_HASH`). Rows of the same hash are equal, or are ordered by their
        columns, so a copy that is made again has the same order.
    entity : sequence of str
        Paths of the columns whose values are the row's entity, of which it gets a hash (`ENTITY_KEY`), if there are any.

    Notes
    -----
    Row numbers (``ROW_NUMBER() OVER ()``) would differ from copy to copy, and a single worker of BigQuery would compute them.
    A hash has 62 bits, so that the difference of two keys does not overflow.

    Examples
    --------
    >>> print(with_keys("a.b", ["e", "x"], "", of_rows=False, entity=["e"]))
    SELECT *, FARM_FINGERPRINT(TO_JSON_STRING(STRUCT(`e` AS e0))) & 4611686018427387903 AS _eh_entity
    FROM (SELECT `e`, `x` FROM a.b) AS _eh_row
    """
    hashed = {ROW_HASH: "_eh_row"} if of_rows else {}
    if entity:
        values = ", ".join(f"{quote(path)} AS e{i}" for i, path in enumerate(entity))
        hashed[ENTITY_KEY] = f"STRUCT({values})"
    keys = [f"FARM_FINGERPRINT(TO_JSON_STRING({of})) & {2**KEY_BITS - 1} AS {name}" for name, of in hashed.items()]
    return f"SELECT *, {', '.join(keys)}\nFROM ({selected(rows, columns, where)}) AS _eh_row"


def selected(rows: str, columns: Sequence[str], where: str) -> str:
    """Return the query for the columns of `rows` that meet a condition; all, if there are none, or it is empty.

    Examples
    --------
    >>> selected("a.b", ["x"], "x > 0")
    'SELECT `x` FROM a.b WHERE x > 0'
    """
    names = ", ".join(quote(name) for name in columns) or "*"
    return f"SELECT {names} FROM {rows}" + (f" WHERE {where}" if where else "")


def checked_dataset(spec: BigQuerySourceSpec, table: str, *, has_keys: bool) -> str:
    """Return the dataset for a copy of a table, a view or query, or of rows with keys.

    Raises
    ------
    PlanError
        If the settings do not allow the copy.
    """
    if spec.snapshot_time is not None and not has_keys:
        # The copy is made now; it did not exist at an earlier time.
        raise PlanError(
            f"{table} is a view: give it as `query`, with FOR SYSTEM_TIME AS OF behind the tables that it reads, "
            f"instead of `source.snapshot_time`."
        )
    if spec.temporary_dataset is None and has_keys:
        raise PlanError(
            f"{no_order(table)} Without an order, set `source.temporary_dataset` to a dataset in the same location, "
            f"in which this job may make a copy of the rows with a hash of each."
        )
    if spec.temporary_dataset is None:
        raise PlanError(
            "Views and queries are materialised before they are read, since every chunk would run them again: set "
            "`source.temporary_dataset` to a dataset in the same location that this job may create tables in."
        )
    return spec.temporary_dataset


def no_order(table: str) -> str:
    """Return what is said of a table whose rows nothing orders."""
    return (
        f"Rows of {table} have no order of their own: set `columns.time` to the column that orders them, or `source.key` to a "
        f"column of whole numbers or times."
    )


class Copy(NamedTuple):
    """A table that holds the rows of a query."""

    name: TableName
    scanned_bytes: int
    """Bytes that the query reads, as a dry run counts them."""
    is_made: bool = True


def schema_of(clients: Clients, sql: str, parameters: Mapping[str, Value]) -> list[Any]:
    """Return the `SchemaField`s of a query's result, by a dry run, which is free."""
    checked = run_query(clients, sql, doing="Checking the query", parameters=parameters, dry_run=True)
    return list(checked.schema or ())


def materialised(
    clients: Clients,
    sql: str,
    parameters: Mapping[str, Value],
    *,
    into: tuple[str, str],
    hours: float,
    cluster_by: Sequence[str] = (),
    make: bool = True,
    state: Sequence[Any] | None = None,
    is_table: bool = False,
) -> Copy:
    """Return a table that holds the query's rows; create it unless it exists, or only return its name.

    Its name is a hash of the query and of the state of the tables that it reads, so a run that is started again finds the
    copy, and a run after a change makes another one. Other inputs of the query (``CURRENT_DATE()``) do not count as a change.
    That state is `state`, JSON, if the caller knows better than the tables' last changes which rows the query reads.
    The rows are clustered by the columns `cluster_by` that can be, so that reading a range of them does not scan the table. A
    large copy is partitioned by the first of them as well: by a hash always, and by another column if the query reads a table
    (`is_table`), whose column can be asked for its range at little cost.

    Raises
    ------
    PlanError
        If the query would scan more than the connection's `maximum_bytes_billed`.
    """
    checked = run_query(clients, sql, doing="Checking the query", parameters=parameters, dry_run=True)  # which is free
    types = {field.name: field.field_type for field in checked.schema or ()}
    keys = [Key(name, types[name]) for name in cluster_by if types.get(name) in KEY_TYPES]
    cluster = f"CLUSTER BY {', '.join(key.sql for key in keys)}" if keys else ""
    state = _state_of(clients, checked) if state is None else state
    text = json.dumps([sql, dict(parameters), state, cluster], sort_keys=True, default=asdict)
    digest = hashlib.sha256(text.encode()).hexdigest()[:24]
    copy = Copy(TableName(*into, f"emberharmony_{digest}"), int(checked.total_bytes_processed or 0))
    found = find(clients, copy.name)
    if found is not None:
        _keep(clients, found, hours)
        return copy
    _check_bytes(clients, copy)
    if not make:
        return copy._replace(is_made=False)
    by = next((key for key in keys[:1] if is_table or key.name in (ROW_HASH, ENTITY_KEY)), None)
    partition = _partitions(clients, copy, by, sql) if by else ""
    layout = "\n".join(filter(None, [f"CREATE TABLE IF NOT EXISTS {copy.name.sql}", partition, cluster]))
    _LOGGER.info("Copying rows into %s: %d bytes are scanned; the copy expires in %g hours.", *copy[:2], hours)
    run_query(
        clients,
        f"{layout}\nOPTIONS (expiration_timestamp = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL {round(hours * 60)} MINUTE))\n"
        f"AS (\n{statement(sql)}\n)",
        doing=f"Materialising the query into {copy.name}",
        parameters=parameters,
    )
    return copy


def _partitions(clients: Clients, copy: Copy, by: Key, sql: str) -> str:
    """The clause that partitions a copy by a column; empty for a small one, or where partitions would not last as long."""
    n = n_partitions(copy.scanned_bytes)
    if n < 2:
        return ""
    if by.name in (ROW_HASH, ENTITY_KEY):
        return by_hash(by.name, n)
    span = query_row(
        clients,
        f"SELECT MIN({by.ticks_sql}) AS first, MAX({by.ticks_sql}) AS last\nFROM (\n{sql}\n)",
        doing=f"Asking for the range of {by.name}",
    )
    if span["first"] is None or partitions_expire(clients, copy.name):
        return ""
    return by_values(by, int(span["first"]), int(span["last"]), n)


def _keep(clients: Clients, table: Any, hours: float) -> None:
    """Have a copy expire later, since a run that is resumed reads it until it ends."""
    expires = dt.datetime.now(dt.UTC) + dt.timedelta(hours=hours)
    if table.expires is None or table.expires >= expires:
        return
    table.expires = expires
    try:
        clients.jobs.update_table(table, ["expires"], retry=rest_retry(clients))
    except google_errors() as error:
        raise_explained(error, doing=f"Keeping {table.table_id}", permission="bigquery.tables.update")


def _check_bytes(clients: Clients, copy: Copy) -> None:
    ceiling = clients.connection.maximum_bytes_billed
    if ceiling is not None and copy.scanned_bytes > ceiling:
        raise PlanError(
            f"Copying the rows would scan {copy.scanned_bytes:,} bytes, over the {ceiling:,} of `maximum_bytes_billed`. Raise "
            f"it, or name fewer columns in `source.columns`."
        )


def is_scattered(table: Any, column: str) -> bool:
    """Whether each range of a column scans all of a large table, by the table's metadata."""
    partitions = [by.field for by in (table.time_partitioning, table.range_partitioning) if by]
    laid_out_by = [name.casefold() for name in (*(table.clustering_fields or ())[:1], *partitions) if name]
    return (table.num_bytes or 0) >= _LARGE_TABLE_BYTES and column.casefold() not in laid_out_by


def can_cluster(table: Any, column: str) -> bool:
    """Whether a copy of a table can be clustered by a column, which is no field of a STRUCT then."""
    return any(field.name == column and field.field_type in KEY_TYPES for field in table.schema)


def warn_of_scans(table: Any, column: str) -> None:
    """Warn that ranges of a column scan all of a large table, if they do."""
    if is_scattered(table, column):
        _LOGGER.warning(
            "%s.%s is neither partitioned nor clustered by %s: every chunk, a range of it, scans all %.0f GB.%s",
            table.dataset_id,
            table.table_id,
            column,
            table.num_bytes / 1e9,
            " Set `source.temporary_dataset` to where the job may make one copy that is clustered by it."
            if can_cluster(table, column)
            else "",
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
