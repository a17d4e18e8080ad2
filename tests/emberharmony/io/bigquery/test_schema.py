"""Types of BigQuery and of Arrow: what is read, written and compared."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from google.cloud.bigquery import SchemaField, Table

from emberharmony.errors import DataError
from emberharmony.io.bigquery.schema import bigquery_type, bytes_per_row, flat_fields, schema_text, table_fields

FIELDS = [
    SchemaField("id", "INTEGER", mode="REQUIRED"),
    SchemaField("x", "FLOAT64"),
    SchemaField("name", "STRING"),
    SchemaField("at", "TIMESTAMP"),
    SchemaField("price", "NUMERIC"),
    SchemaField("place", "GEOGRAPHY"),
    SchemaField("tags", "STRING", mode="REPEATED"),
    SchemaField("who", "RECORD", fields=[SchemaField("age", "INT64"), SchemaField("old", "BOOL", mode="REPEATED")]),
]
TYPES = {
    "id": pa.int64(),
    "x": pa.float64(),
    "name": pa.string(),
    "at": pa.timestamp("us", "UTC"),
    "price": pa.decimal128(38, 9),
    "place": pa.binary(),
    "tags": pa.list_(pa.string()),
    "who_age": pa.int64(),
    "who_old": pa.list_(pa.bool_()),
}


def test_columns_are_read_as_arrow_types():
    """The fields of a STRUCT are columns."""
    fields = flat_fields(FIELDS)
    assert {field.name: field.type for field in fields} == TYPES
    assert [field.nullable for field in fields] == [False] + [True] * 8
    assert [bigquery_type(field) for field in fields] == [*(field.field_type for field in FIELDS[:-1]), "INT64", "BOOL"]


def test_a_type_of_the_future_is_refused():
    with pytest.raises(DataError, match="'v' is of BigQuery type VECTOR, which this version does not know"):
        flat_fields([SchemaField("v", "VECTOR")])


def test_columns_are_written_as_types_of_bigquery():
    schema = pa.schema([("n", pa.int32()), ("x", pa.float32()), ("s", pa.string()), ("t", pa.timestamp("us", "UTC"))])
    fields = table_fields(schema, ["n", "x_2", "s", "t"], {"x": "A number" * 300})
    assert [(field.name, field.field_type) for field in fields] == [
        ("n", "INT64"), ("x_2", "FLOAT64"), ("s", "STRING"), ("t", "TIMESTAMP"),
    ]  # fmt: skip
    assert [field.description for field in fields] == [None, ("A number" * 300)[:1024], None, None]


def test_a_type_that_is_not_written_is_named():
    with pytest.raises(DataError, match="'d' is of type duration"):
        table_fields(pa.schema([("d", pa.duration("s"))]), ["d"], {})


def test_equal_schemas_have_equal_texts():
    """And any difference in names, types, modes or order makes another one; descriptions make none."""
    text = schema_text(FIELDS)
    assert json.loads(text)[0] == {"name": "id", "type": "INTEGER", "mode": "REQUIRED", "fields": []}
    assert schema_text([SchemaField("id", "integer", mode="REQUIRED", description="key"), *FIELDS[1:]]) == text
    changed = SchemaField("who", "RECORD", fields=[SchemaField("age", "FLOAT64"), SchemaField("old", "BOOL", mode="REPEATED")])
    for others in ([*FIELDS[:-1], changed], FIELDS[::-1], FIELDS[:-1]):
        assert schema_text(others) != text


def test_bytes_that_are_not_numbers_are_those_of_texts():
    table = Table("a-b.c.d", schema=[*FIELDS[:3], SchemaField("note", "STRING"), SchemaField("flag", "BOOL")])
    table._properties |= {"numBytes": str(1000 * (8 + 8 + 1 + 2 * 100)), "numRows": "1000"}
    sizes = bytes_per_row(pa.schema(flat_fields(table.schema)), table)
    assert sizes["id"] == sizes["x"] == 8
    assert sizes["flag"] == 1
    assert sizes["name"] == sizes["note"] == 104  # and the end of each in Arrow
