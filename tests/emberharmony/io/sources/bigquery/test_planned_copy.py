"""A copy that is not there yet, without a server: what stands behind FROM, how large its rows are, and what it will cost."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace

import pytest
import sqlglot
from google.cloud.bigquery import SchemaField

from emberharmony.io.bigquery.schema import schema_text
from emberharmony.io.sources.bigquery import planned_copy as module
from emberharmony.io.sources.bigquery.materialise import ENTITY_KEY, with_keys
from emberharmony.io.sources.bigquery.planned_copy import PlannedCopy
from emberharmony.io.sources.bigquery.source import BigQuerySource
from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec, Pin
from emberharmony.io.sources.parquet.widths import SHORT_TEXT_BYTES

COPIED = [SchemaField("id", "STRING"), SchemaField("t", "TIMESTAMP"), SchemaField("x", "FLOAT64")]
FIELDS = [*COPIED, SchemaField("unused", "STRING")]
QUERY = with_keys("raw.t", ["id", "t", "x"], "(x > 0 -- all\n)", of_rows=False, entity=["id"])
PIN = Pin(
    "my-project.d.emberharmony_1",
    dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    "emberharmony_1",
    key=ENTITY_KEY,
    entity=("id",),
    then="t",
    scanned_bytes=5_000,
    schema=schema_text(FIELDS),
    query=QUERY,
)
CLIENTS = SimpleNamespace(project="my-project")


@pytest.fixture
def copy(monkeypatch):
    """Of a table of 100 bytes a row, 16 of which are the time and the number."""
    asked = []
    table = SimpleNamespace(schema=FIELDS, num_bytes=10_000, num_rows=100)
    monkeypatch.setattr(module, "table_of", lambda _, name: asked.append(str(name)) or table)
    monkeypatch.setattr(module, "schema_of", lambda *_: [*COPIED, SchemaField(ENTITY_KEY, "INT64")])
    yield PlannedCopy(BigQuerySourceSpec(table="my-project.raw.t", pin=PIN), CLIENTS)
    assert {*asked} <= {"my-project.raw.t"}, "nothing is asked of the copy"


def test_rows_are_those_of_the_query(copy):
    assert copy.sql == f"(\n{QUERY}\n)"
    statement = f"SELECT COUNT(*) FROM {copy.sql} WHERE {copy.condition(copy.has_place)}"
    parsed = sqlglot.parse_one(statement, dialect="bigquery", error_level=sqlglot.ErrorLevel.RAISE)
    assert [table.name for table in parsed.find_all(sqlglot.exp.Table)] == ["t"]
    assert "x > 0" not in copy.condition(), "the condition is in the query already"


def test_columns_are_those_of_the_table(copy):
    assert copy.schema.names == ["id", "t", "x", "unused"]
    assert copy.tie_columns == ["id", "t", "x"], "only what is copied orders rows"
    assert copy.order_columns == ["id", "t", "id", "t", "x"]


def test_sizes_are_those_of_the_table(copy):
    """Four bytes of an Arrow string are its offset."""
    assert copy.row_bytes == {"id": 46.0, "t": 8.0, "x": 8.0, "unused": 46.0}
    of_query = PlannedCopy(BigQuerySourceSpec(query="SELECT 1", pin=PIN), CLIENTS)
    short = float(SHORT_TEXT_BYTES)
    assert of_query.row_bytes == {"id": short, "t": 8.0, "x": 8.0, "unused": short}


def test_its_cost(copy):
    cost = copy.described_copy
    assert (cost.name, cost.scanned_bytes, cost.stored_bytes, cost.expires) == (PIN.table, 5_000, 5_000, None)
    assert cost.scan_usd == 5_000 * 6.25 / 2**40
    assert cost.is_arranged
    assert not cost.is_made


def test_a_source_reads_the_copy_once_it_is_there():
    planned = BigQuerySource(BigQuerySourceSpec(table="my-project.raw.t", pin=PIN), CLIENTS)
    made = BigQuerySource(
        BigQuerySourceSpec(table="my-project.raw.t", pin=Pin("my-project.d.c", PIN.read_at, "c", ENTITY_KEY, ("id",), "t")),
        CLIENTS,
    )
    assert (planned.is_arranged, made.is_arranged) == (True, True)
    assert planned._table.sql == f"(\n{QUERY}\n)"
    assert made._table.sql.startswith("`my-project.d.c` FOR SYSTEM_TIME AS OF")
