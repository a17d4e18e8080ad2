"""Tables themselves: whether one is there, made, and removed again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from emberharmony.io.bigquery.connection import Clients
from emberharmony.io.bigquery.failures import google_errors, raise_explained
from emberharmony.io.bigquery.identifiers import TableName
from emberharmony.io.bigquery.queries import rest_retry

_MAX_CHANGES: Final = 5  # by others, while a column is added


def find(clients: Clients, name: TableName) -> Any | None:
    """Return the metadata of the table of this name, if there is one."""
    from google.api_core import exceptions as api

    try:
        return clients.jobs.get_table(str(name), retry=rest_retry(clients))
    except api.NotFound:
        return None
    except google_errors() as error:
        raise_explained(error, doing=f"Looking up {name}", permission="bigquery.tables.get")


def exists(clients: Clients, name: TableName) -> bool:
    """Whether there is a table of this name."""
    return find(clients, name) is not None


def create(clients: Clients, table: Any) -> None:
    """Make a table, unless there is one of its name."""
    try:
        clients.jobs.create_table(table, exists_ok=True, retry=rest_retry(clients))
    except google_errors() as error:
        name = f"{table.project}.{table.dataset_id}.{table.table_id}"
        raise_explained(error, doing=f"Creating {name}", permission="bigquery.tables.create")


def add_columns(clients: Clients, name: TableName, fields: Sequence[Any]) -> None:
    """Give a table those of the columns `fields` that it lacks; they are null in its rows."""
    from google.api_core import exceptions as api

    for left in reversed(range(_MAX_CHANGES)):
        table = find(clients, name)
        known = {column.name.casefold() for column in table.schema} if table else set()
        missing = [column for column in fields if column.name.casefold() not in known]
        if table is None or not missing:
            return
        table.schema = [*table.schema, *missing]
        try:
            clients.jobs.update_table(table, ["schema"], retry=rest_retry(clients))
            return
        except google_errors() as error:
            # Somebody has changed the table since it was looked up, and may have added them.
            if not (isinstance(error, api.PreconditionFailed) and left):
                raise_explained(error, doing=f"Adding columns to {name}", permission="bigquery.tables.update")


def remove(clients: Clients, name: TableName) -> None:
    """Remove a table, if there is one of this name."""
    try:
        clients.jobs.delete_table(str(name), not_found_ok=True, retry=rest_retry(clients))
    except google_errors() as error:
        raise_explained(error, doing=f"Removing {name}", permission="bigquery.tables.delete")


def dataset_location(clients: Clients, name: TableName) -> str:
    """Return where the dataset of a table lies."""
    dataset = f"{name.project}.{name.dataset}"
    try:
        location: str = clients.jobs.get_dataset(dataset, retry=rest_retry(clients)).location
    except google_errors() as error:
        raise_explained(error, doing=f"Looking up where dataset {dataset} lies", permission="bigquery.datasets.get")
    return location
