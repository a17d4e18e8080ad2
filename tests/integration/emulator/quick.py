"""Run `local-bigquery` with quicker look-ups of tables, views, columns and resources. The emulator's own Python runs it.

Every request looks many things up. DuckDB takes 1 to 70 ms of CPU time for each, because it plans the query and DuckLake reads
its whole catalog. Here resources lie in SQLite, which finds one in microseconds. The catalog is read from the tables in which
DuckLake keeps it, once for each of DuckLake's snapshots: whatever changes it makes another snapshot.
"""

from __future__ import annotations

import gc
import json
import re
import sqlite3
import sys
import threading
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any

import duckdb
from local_bigquery.catalog import tables
from local_bigquery.cli import main
from local_bigquery.engine import database

Row = tuple[Any, ...]

LISTS = {
    "duckdb_schemas": "SELECT * FROM {schema}",
    "duckdb_tables": (
        "SELECT *, coalesce(record_count, 0) AS estimated_size "
        "FROM {table} JOIN {schema} USING (schema_id) LEFT JOIN {lake}.ducklake_table_stats USING (table_id)"
    ),
    "duckdb_views": "SELECT *, false AS internal FROM {view} JOIN {schema} USING (schema_id)",
    "duckdb_columns": (
        "SELECT *, nulls_allowed AS is_nullable FROM {column} JOIN {table} USING (table_id) JOIN {schema} USING (schema_id) "
        "WHERE parent_column IS NULL"
    ),
}
"""Functions of DuckDB, and queries that list the same; `{table}` are the tables that are there now."""

# Run when the emulator connects. Its queries are tiny. A new cursor starts in memory.main and has no temporary tables, for
# which the emulator asks before every query; later its cursors use a project, where the function is DuckDB's own.
ON_CONNECT = (
    "SET threads = 1; "
    "CREATE MACRO memory.main.duckdb_tables() AS TABLE SELECT '' AS table_name, true AS temporary WHERE false; "
)


# ---- resources -----------------------------------------------------------------------------------------------------

RESOURCE = re.compile(rf"\bemulator\.(?=(?:jobs|iam_policies|{'|'.join(database.RESOURCES)})\b)")
"""The prefix of the tables that hold resources."""
one_at_a_time = threading.Lock()


@cache
def resources() -> sqlite3.Connection:
    """The tables of resources, in memory."""
    connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    connection.create_function("starts_with", 2, lambda text, start: text.startswith(start), deterministic=True)
    connection.create_function("list_contains", 2, lambda texts, text: text in json.loads(texts or "[]"), deterministic=True)
    for statement in database.EMULATOR_SCHEMA.split(";"):
        if RESOURCE.search(statement):
            connection.execute(RESOURCE.sub("", statement))
    return connection


def stored(sql: str, params: list[Any] | None) -> list[Row]:
    """Rows of a query of resources, or none of a change."""
    values = [json.dumps(value) if isinstance(value, list) else value for value in params or []]
    with one_at_a_time:  # threads that use one connection would share its prepared statements
        return resources().execute(RESOURCE.sub("", sql), values).fetchall()


# ---- the catalog ---------------------------------------------------------------------------------------------------


@cache
def lists_of(project: str) -> Mapping[str, str]:
    """The queries for one project, by the function that each takes the place of."""
    lake = database.quote(f"__ducklake_metadata_{project}")
    now = {
        kind: f"(SELECT * EXCLUDE (begin_snapshot, end_snapshot) FROM {lake}.ducklake_{kind} WHERE end_snapshot IS NULL)"
        for kind in ("schema", "table", "view", "column")
    }
    return {
        f"{function}()": f"(SELECT '{project}' AS database_name, * FROM ({query.format(lake=lake, **now)}))"
        for function, query in LISTS.items()
    }


def snapshot(project: str) -> int:
    """Number of the last change that a project has seen."""
    lake = database.quote(f"__ducklake_metadata_{project}")
    [(number,)] = _fetch(f"SELECT max(snapshot_id) FROM {lake}.ducklake_snapshot")
    return int(number)


@lru_cache(maxsize=4096)
def listed(number: int, sql: str, project: str, *params: Any) -> list[Row]:
    """Rows of a query of the catalog, which are the same until the snapshot's number changes."""
    for function, rows in lists_of(project).items():
        sql = sql.replace(function, rows)
    return _fetch(sql, [project, *params])


def in_results(sql: str, dataset: str, table: str) -> list[Row]:
    """The same of a table of a query's result, which is no table of a project; none of its columns is required."""
    if "duckdb_columns()" in sql:
        return []
    try:
        [(n_rows,)] = _fetch(f"SELECT count(*) FROM {database.quote('emulator', dataset, table)}")
    except duckdb.CatalogException:
        return []
    return [(table, "TABLE", n_rows)]


def fetch(sql: str, params: list[Any] | None = None) -> list[Row]:
    """Rows of a query, from where they are found soonest."""
    if RESOURCE.search(sql):
        return stored(sql, params)
    if params and any(function in sql for function in LISTS):
        if params[0] in database._attached:
            return list(listed(snapshot(params[0]), sql, *params))
        if params[0] == "emulator" and params[-1] is not None:
            return in_results(sql, *params[1:])
    return _fetch(sql, params)


def execute(sql: str, params: list[Any] | None = None) -> None:
    """Run a statement where the rows lie that it changes."""
    if RESOURCE.search(sql):
        stored(sql, params)
    else:
        _execute(sql, params)


def once_per_snapshot(read: Callable[[str, str, str], list[Any]]) -> Callable[[str, str, str], list[Any]]:
    """Read what a table of a project has once for each snapshot, and of other tables always."""

    @lru_cache(maxsize=4096)
    def kept(number: int, *reference: str) -> list[Any]:
        return read(*reference)

    def columns(project_id: str, dataset_id: str, table_id: str) -> list[Any]:
        reference = project_id, dataset_id, table_id
        if project_id not in database._attached or tables.physical(*reference) != reference:
            return read(*reference)
        return list(kept(snapshot(project_id), *reference))

    return columns


def replace(old: Callable[..., Any], new: Callable[..., Any]) -> None:
    """Put a function in the place of another in all modules of the emulator."""
    for name, module in list(sys.modules.items()):
        if name.startswith("local_bigquery") and vars(module).get(old.__name__) is old:
            setattr(module, old.__name__, new)


_fetch, _execute = database.fetch, database.execute
replace(_fetch, fetch)
replace(_execute, execute)
replace(tables.columns, once_per_snapshot(tables.columns))
database.EMULATOR_SCHEMA = f"{ON_CONNECT}{database.EMULATOR_SCHEMA}"

if __name__ == "__main__":
    # Each statement makes thousands of objects: looking for garbage among all that is imported took a tenth of the time.
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    main()
