"""Tables of BigQuery: look up, create, extend and remove them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from emberharmony.io.bigquery.connection import Clients
from emberharmony.io.bigquery.failures import google_errors, raise_explained
from emberharmony.io.bigquery.identifiers import TableName
from emberharmony.io.bigquery.queries import rest_retry

_MAX_CHANGES: Final = 5  # by others, while a column is added


def find(clients: Clients, name: TableName) -> Any | None:
    """Return the metadata of a table; ``None`` if it does not exist."""
    from google.api_core import exceptions as api

    try:
        return clients.jobs.get_table(str(name), retry=rest_retry(clients))
    except api.NotFound:
        return None
    except google_errors() as error:
        raise_explained(error, doing=f"Looking up {name}", permission="bigquery.tables.get")


def exists(clients: Clients, name: TableName) -> bool:
    """Whether a table exists."""
    return find(clients, name) is not None


def create(clients: Clients, table: Any) -> None:
    """Create a table, unless it exists."""
    try:
        clients.jobs.create_table(table, exists_ok=True, retry=rest_retry(clients))
    except google_errors() as error:
        name = f"{table.project}.{table.dataset_id}.{table.table_id}"
        raise_explained(error, doing=f"Creating {name}", permission="bigquery.tables.create")


def add_columns(clients: Clients, name: TableName, fields: Sequence[Any]) -> None:
    """Add the columns `fields` that a table lacks; they are null in its rows."""
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
            # Another client has changed the table since the look-up, and may have added the columns.
            if not (isinstance(error, api.PreconditionFailed) and left):
                raise_explained(error, doing=f"Adding columns to {name}", permission="bigquery.tables.update")


def remove(clients: Clients, name: TableName) -> None:
    """Remove a table, if it exists."""
    try:
        clients.jobs.delete_table(str(name), not_found_ok=True, retry=rest_retry(clients))
    except google_errors() as error:
        raise_explained(error, doing=f"Removing {name}", permission="bigquery.tables.delete")


def dataset_location(clients: Clients, name: TableName) -> str:
    """Return the location of a table's dataset."""
    location: str = _dataset(clients, name).location
    return location


def partitions_expire(clients: Clients, name: TableName) -> bool:
    """Whether partitions of times that are long ago would be removed from the tables of a table's dataset."""
    return bool(_dataset(clients, name).default_partition_expiration_ms)


def _dataset(clients: Clients, name: TableName) -> Any:
    dataset = f"{name.project}.{name.dataset}"
    try:
        return clients.jobs.get_dataset(dataset, retry=rest_retry(clients))
    except google_errors() as error:
        raise_explained(error, doing=f"Looking up dataset {dataset}", permission="bigquery.datasets.get")
