"""Tables are looked up, extended and removed; a client that stands for BigQuery's answers as it does."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from google.api_core import exceptions as api
from google.cloud.bigquery import SchemaField, Table

from emberharmony.errors import TerminalError
from emberharmony.io.bigquery.connection import BigQueryConnection
from emberharmony.io.bigquery.identifiers import TableName
from emberharmony.io.bigquery.metadata import (
    add_columns,
    create,
    dataset_location,
    exists,
    find,
    partitions_expire,
    remove,
)

NAME = TableName("my-project", "air", "t")
OLD, NEW = SchemaField("X", "INT64"), SchemaField("y", "STRING")


class Service:
    """Stands for the REST client: one table, and errors that a test gives."""

    def __init__(self, *columns):
        self.columns, self.errors, self.updates, self.lasts_ms = list(columns), [], 0, None
        connection = BigQueryConnection(project="my-project")
        self.clients = SimpleNamespace(jobs=self, connection=connection, retry=connection.retry)

    def _answer(self):
        if self.errors and (error := self.errors.pop(0)):
            raise error

    def get_table(self, name, retry):
        assert name == str(NAME)
        self._answer()
        if not self.columns:
            raise api.NotFound("no table")
        return Table(name, schema=list(self.columns))

    def update_table(self, table, fields, retry):
        assert fields == ["schema"]
        self.updates += 1
        self._answer()
        self.columns = list(table.schema)

    def create_table(self, table, exists_ok, retry):
        self._answer()
        self.columns = list(table.schema)

    def delete_table(self, name, not_found_ok, retry):
        assert not_found_ok
        self._answer()
        self.columns = []

    def get_dataset(self, name, retry):
        self._answer()
        return SimpleNamespace(location={"my-project.air": "EU"}[name], default_partition_expiration_ms=self.lasts_ms)


def names(service):
    return [column.name for column in service.columns]


def test_a_table_is_found_or_not():
    assert find(Service().clients, NAME) is None
    assert not exists(Service().clients, NAME)
    assert [column.name for column in find(Service(OLD).clients, NAME).schema] == ["X"]


def test_a_table_is_created_and_removed():
    service = Service()
    create(service.clients, Table(str(NAME), schema=[OLD]))
    assert exists(service.clients, NAME)
    remove(service.clients, NAME)
    assert not exists(service.clients, NAME)
    assert dataset_location(service.clients, NAME) == "EU"


def test_whether_partitions_of_long_ago_stay():
    service = Service()
    assert not partitions_expire(service.clients, NAME)
    service.lasts_ms = 86_400_000
    assert partitions_expire(service.clients, NAME)


def test_columns_that_a_table_lacks_are_added_behind_its_own():
    service = Service(OLD)
    add_columns(service.clients, NAME, [SchemaField("x", "INT64"), NEW])  # names differ in case
    assert names(service) == ["X", "y"]
    add_columns(service.clients, NAME, [OLD, NEW])
    assert service.updates == 1
    add_columns(Service().clients, NAME, [NEW])  # no table: it is made with all columns


def test_another_client_changed_the_table_meanwhile():
    service = Service(OLD)
    service.errors = [None, api.PreconditionFailed("changed"), None, api.PreconditionFailed("changed"), None, None]
    add_columns(service.clients, NAME, [NEW])
    assert names(service) == ["X", "y"]
    assert service.updates == 3
    service.errors = [None, api.PreconditionFailed("changed")] * 9
    with pytest.raises(TerminalError, match="Adding columns to my-project"):
        add_columns(service.clients, NAME, [SchemaField("z", "STRING")])


@pytest.mark.parametrize(
    ("call", "permission"),
    [
        (lambda clients: find(clients, NAME), "bigquery.tables.get"),
        (lambda clients: create(clients, Table(str(NAME), schema=[OLD])), "bigquery.tables.create"),
        (lambda clients: remove(clients, NAME), "bigquery.tables.delete"),
        (lambda clients: dataset_location(clients, NAME), "bigquery.datasets.get"),
    ],
    ids=["find", "create", "remove", "location"],
)
def test_a_refusal_names_the_permission(call, permission):
    service = Service(OLD)
    service.errors = [api.Forbidden("no")]
    with pytest.raises(TerminalError, match=f"permission {permission} is missing"):
        call(service.clients)
