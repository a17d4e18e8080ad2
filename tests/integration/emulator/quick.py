"""Run `local-bigquery` with quicker look-ups of tables, views, columns and resources. The emulator's own Python runs it.

Every request looks many things up. DuckDB takes 1 to 70 ms of CPU time for each, because it plans the query and DuckLake reads
its whole catalog. Here resources lie in SQLite, which finds one in microseconds. So does the catalog, which is read from the
tables in which DuckLake keeps it once for each of DuckLake's snapshots: whatever changes it makes another snapshot.
"""

from __future__ import annotations

import gc
import json
import re
import sqlite3
import sys
import threading
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import duckdb
from local_bigquery.catalog import tables
from local_bigquery.cli import main
from local_bigquery.engine import database

# For each statement DuckDB looks for pandas, which is not there: it would go through all folders of libraries again.
sys.modules["pandas"] = None  # type: ignore[assignment]

Row = tuple[Any, ...]

LISTS = ("duckdb_schemas()", "duckdb_tables()", "duckdb_views()", "duckdb_columns()")
"""Functions of DuckDB that list what a catalog has; views in SQLite list the same."""

CATALOG = {
    "schema": ("schema_id", "schema_name"),
    "table": ("schema_id", "table_id", "table_name"),
    "view": ("schema_id", "view_name"),
    "column": ("table_id", "column_name", "nulls_allowed"),
    "table_stats": ("table_id", "record_count"),
}
"""Tables in which DuckLake keeps its catalog, and the columns that are read."""
NOW = dict.fromkeys(("schema", "table", "view"), "end_snapshot IS NULL")
NOW["column"] = "end_snapshot IS NULL AND parent_column IS NULL"
"""What is there now, of the tables that also keep what was there before."""

VIEWS = """
CREATE VIEW "duckdb_schemas()" AS SELECT * FROM project, schema;
CREATE VIEW "duckdb_tables()" AS SELECT *, coalesce(record_count, 0) AS estimated_size
    FROM project, "table" JOIN schema USING (schema_id) LEFT JOIN table_stats USING (table_id);
CREATE VIEW "duckdb_views()" AS SELECT *, false AS internal FROM project, view JOIN schema USING (schema_id);
CREATE VIEW "duckdb_columns()" AS SELECT *, nulls_allowed AS is_nullable
    FROM project, "column" JOIN "table" USING (table_id) JOIN schema USING (schema_id);
"""

# Run when the emulator connects. Its queries are tiny: a better plan takes longer than it saves, and DuckLake has 3 to 20 of
# its own for each statement. A new cursor starts in memory.main and has no temporary tables, for which the emulator asks
# before every query; later its cursors use a project, where the function is DuckDB's own.
ON_CONNECT = (
    "SET threads = 1; "
    "SET GLOBAL disabled_optimizers = 'join_order,statistics_propagation,deliminator,column_lifetime,late_materialization,"
    "common_subexpressions,common_subplan,join_elimination,cte_inlining,build_side_probe_side'; "
    "CREATE MACRO memory.main.duckdb_tables() AS TABLE SELECT '' AS table_name, true AS temporary WHERE false; "
)


# ---- resources -----------------------------------------------------------------------------------------------------

RESOURCE = re.compile(rf"\bemulator\.(?=(?:jobs|iam_policies|{'|'.join(database.RESOURCES)})\b)")
"""The prefix of the tables that hold resources."""
one_at_a_time = threading.Lock()


def in_memory() -> sqlite3.Connection:
    """An empty database of SQLite, with the functions of DuckDB that the emulator's queries use."""
    connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    connection.create_function("starts_with", 2, lambda text, start: text.startswith(start), deterministic=True)
    connection.create_function("list_contains", 2, lambda texts, text: text in json.loads(texts or "[]"), deterministic=True)
    return connection


@cache
def resources() -> sqlite3.Connection:
    """The tables of resources."""
    connection = in_memory()
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
def last_snapshot(project: str) -> duckdb.DuckDBPyConnection:
    """A cursor with a prepared statement: planning the query takes three times as long as the query."""
    cursor = database.connection().cursor()
    lake = database.quote(f"__ducklake_metadata_{project}")
    cursor.execute(f"PREPARE last_snapshot AS SELECT max(snapshot_id) FROM {lake}.ducklake_snapshot")
    return cursor


def snapshot(project: str) -> int:
    """Number of the last change that a project has seen."""
    with one_at_a_time:
        [(number,)] = last_snapshot(project).execute("EXECUTE last_snapshot").fetchall()
    return int(number)


@lru_cache(maxsize=4)
def catalog(number: int, project: str) -> sqlite3.Connection:
    """What a project has, which is the same until the snapshot's number changes, in memory."""
    lake = database.quote(f"__ducklake_metadata_{project}")
    connection = in_memory()
    connection.execute("CREATE TABLE project (database_name)")
    connection.execute("INSERT INTO project VALUES (?)", [project])
    with database.cursor() as cursor:
        for kind, columns in CATALOG.items():
            names, places = ", ".join(columns), ", ".join("?" for _ in columns)
            rows = cursor.execute(f"SELECT {names} FROM {lake}.ducklake_{kind} WHERE {NOW.get(kind, 'true')}").fetchall()
            connection.execute(f'CREATE TABLE "{kind}" ({names})')
            connection.executemany(f'INSERT INTO "{kind}" VALUES ({places})', rows)
    connection.executescript(VIEWS)
    return connection


def listed(sql: str, params: list[Any]) -> list[Row]:
    """Rows of a query of the catalog of a project, which is its first parameter."""
    for function in LISTS:
        sql = sql.replace(function, f'"{function}"')
    found = catalog(snapshot(params[0]), params[0])
    with one_at_a_time:
        return found.execute(sql.replace("$", "?"), params).fetchall()


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
            return listed(sql, params)
        if params[0] == "emulator" and len(params) == 3 and params[-1] is not None:
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
