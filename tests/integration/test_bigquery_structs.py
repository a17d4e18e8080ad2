"""Fields of STRUCTs are columns of their own, at any depth; what is no feature is dropped with its own type as the reason."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest
from google.cloud import bigquery

from emberharmony.features.columns import ColumnSpec, FeatureColumn, assign_roles
from emberharmony.io.bigquery.read import read_rows
from emberharmony.io.bigquery.schema import flat_fields
from emberharmony.io.sources.bigquery import read as read_module
from emberharmony.io.sources.bigquery.source import BigQuerySource
from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec
from emberharmony.nested import path_of
from emberharmony.planning.chunks import Chunk

pytestmark = pytest.mark.xdist_group("bigquery-job")
Field = bigquery.SchemaField


def test_the_columns_of_a_table_with_structs():
    inner = Field("at", "RECORD", fields=[Field("lat", "FLOAT64"), Field("tags", "STRING", mode="REPEATED")])
    fields = [
        Field("place", "STRUCT", fields=[Field("name", "STRING"), inner]),
        Field("geo", "GEOGRAPHY"),
        Field("took", "TIME"),
    ]
    fields += [Field("many", "STRUCT", mode="REPEATED", fields=[Field("x", "INT64")]), Field("j", "JSON")]
    schema = pa.schema(flat_fields(fields))
    names = ["place_name", "place_at_lat", "place_at_tags", "geo", "took", "many", "j"]
    assert schema.names == names
    assert path_of(schema.field("place_at_lat")) == ("place", "at", "lat")
    roles = assign_roles(schema, ColumnSpec())
    assert [(c.name, c.kind) for c in roles.features] == [
        ("place_name", "categorical"),
        ("place_at_lat", "numeric"),
        ("took", "numeric"),
    ]
    reasons = ("array", "GEOGRAPHY", "array", "JSON")
    assert [c.reason for c in roles.dropped] == [f"{reason} columns are not supported" for reason in reasons]


@pytest.fixture(scope="module")
def table(connection):
    sql = """
        SELECT TIMESTAMP_ADD(TIMESTAMP '2024-01-01 00:00:00+00:00', INTERVAL n HOUR) AS t, n AS x,
            STRUCT(n * 2.5 AS lat, STRUCT(CONCAT('v', CAST(MOD(n, 3) AS STRING)) AS name) AS kind) AS place
        FROM UNNEST(GENERATE_ARRAY(0, 11)) AS n
    """
    with connection.open() as clients:
        clients.jobs.create_dataset("structs", exists_ok=True)
        config = bigquery.QueryJobConfig(destination=f"{connection.project}.structs.t")
        clients.jobs.query_and_wait(sql, job_config=config)
    return BigQuerySourceSpec(table=f"{connection.project}.structs.t", connection=connection)


@pytest.fixture
def asked(monkeypatch):
    """The fields that reads ask for; a double of BigQuery's selection, which the tests' server does not do as documented.

    Selected children of a STRUCT come "as record fields containing only the selected nested fields"; this server flattens.
    """
    names: list[str] = []

    def read(*args, columns, **options):
        names.extend(columns)
        return read_rows(*args, columns=list(dict.fromkeys(name.split(".")[0] for name in columns)), **options)

    monkeypatch.setattr(read_module, "read_rows", read)
    return names


def test_rows_of_a_table_with_structs(table, asked):
    source = BigQuerySource(table)
    info = source.describe()
    assert info.schema.names == ["t", "x", "place_lat", "place_kind_name"]
    span = source.time_range("t")
    chunk = Chunk(0, 0, 12, (span.first, span.last + 1))
    rows = source.read(chunk, ["place_kind_name", "x", "place_lat"], time="t")
    assert {*asked} == {"t", "x", "place.lat", "place.kind.name"}
    assert rows["place_lat"].to_pylist() == [2.5 * n for n in range(12)]
    assert rows["place_kind_name"].to_pylist() == [f"v{n % 3}" for n in range(12)]
    assert dt.datetime.fromtimestamp(span.first / 1e6, dt.UTC) == dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def test_profile_of_a_field(table):
    columns = [FeatureColumn("place_lat", "numeric"), FeatureColumn("place_kind_name", "categorical")]
    figures = BigQuerySource(table).profile(columns, time=None)
    assert figures["place_lat"].moments.mean == 2.5 * 5.5
    assert dict(figures["place_kind_name"].top) == {"v0": 4, "v1": 4, "v2": 4}
