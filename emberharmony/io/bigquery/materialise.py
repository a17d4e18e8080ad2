"""Views and queries, run once into a table that expires: every chunk would run them again otherwise."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from emberharmony.io.bigquery.connection import Clients
from emberharmony.io.bigquery.failures import google_errors, raise_explained
from emberharmony.io.bigquery.identifiers import TableName
from emberharmony.io.bigquery.queries import Value, rest_retry, run_query, table_of

State = tuple[tuple[str, str, int], ...]


def referenced_state(clients: Clients, sql: str, parameters: Mapping[str, Value]) -> State:
    """Return name, last change and rows of every table that a query reads, found by a dry run, which is free."""
    job = run_query(clients, sql, doing="Checking the query", parameters=parameters, dry_run=True)
    names = sorted({TableName(t.project, t.dataset_id, t.table_id) for t in job.referenced_tables})
    found = []
    for name in names:
        table = table_of(clients, name)
        found.append((str(name), table.modified.isoformat() if table.modified else "", int(table.num_rows or 0)))
    return tuple(found)


def materialised(
    clients: Clients,
    sql: str,
    parameters: Mapping[str, Value],
    *,
    state: State,
    into: tuple[str, str],
    hours: float,
) -> TableName:
    """Return a table that holds the query's rows, and make it if it is not there.

    Its name is a function of the query and of what the tables it reads held: a run that is started again finds it, one after a
    change makes another. What the query takes from elsewhere (``CURRENT_DATE()``) does not count as a change.
    """
    text = json.dumps([sql, dict(parameters), state], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:24]
    name = TableName(*into, f"emberharmony_{digest}")
    if _exists(clients, name):
        return name
    run_query(
        clients,
        f"CREATE TABLE IF NOT EXISTS {name.sql}\n"
        f"OPTIONS (expiration_timestamp = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL {round(hours * 60)} MINUTE))\n"
        f"AS (\n{sql.strip().rstrip(';')}\n)",
        doing=f"Materialising the query into {name}",
        parameters=parameters,
    )
    return name


def _exists(clients: Clients, name: TableName) -> bool:
    from google.api_core import exceptions as api

    try:
        clients.jobs.get_table(str(name), retry=rest_retry(clients))
    except api.NotFound:
        return False
    except google_errors() as error:
        raise_explained(error, doing=f"Looking up {name}", permission="bigquery.tables.get")
    return True
