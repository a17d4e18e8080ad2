"""Rows through the Storage Read API of a real server: complete under faults, and asked for as documented."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io

import grpc
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1.types import ArrowSerializationOptions, DataFormat

from emberharmony.errors import TerminalError, TransientError
from emberharmony.io.bigquery import TableName, queries
from emberharmony.io.bigquery.read import ReadSpec, read_rows
from tests.integration.bigquery_faults import Broken, Faults
from tests.integration.bigquery_tables import HttpFaults

pytestmark = pytest.mark.xdist_group("bigquery-sink")

N_ROWS = 250_000  # three streams of the emulator
N_LONG = 2_200_000  # three messages of one stream
UNAVAILABLE = Broken(grpc.StatusCode.UNAVAILABLE)


@pytest.fixture(scope="module")
def numbers(connection) -> tuple[TableName, pa.Table]:
    rng = np.random.default_rng(3)
    table = pa.table(
        {
            "id": np.arange(N_ROWS),
            "x": rng.normal(size=N_ROWS),
            "text": pa.array([f"row {number}" for number in range(N_ROWS)]),
        }
    )
    name = TableName(connection.project, "reading", "numbers")
    with connection.open() as clients:
        clients.jobs.create_dataset("reading", exists_ok=True)
        file = io.BytesIO()
        pq.write_table(table, file)
        config = bigquery.LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_TRUNCATE")
        clients.jobs.load_table_from_file(file, str(name), rewind=True, job_config=config).result()
    return name, table


@pytest.fixture(scope="module")
def long_table(connection, numbers) -> TableName:
    name = TableName(connection.project, "reading", "long")
    rows = f"SELECT id FROM UNNEST(GENERATE_ARRAY(0, {N_LONG - 1})) AS id"
    with connection.open() as clients:
        clients.jobs.query_and_wait(f"CREATE OR REPLACE TABLE {name.sql} AS {rows}")
    return name


def by_id(table: pa.Table) -> pa.Table:
    return table.sort_by("id").replace_schema_metadata(None)


def test_every_row_comes_once(connection, numbers):
    name, table = numbers
    with connection.open() as clients:
        read = read_rows(clients, name, columns=["id", "x", "text"])
    assert by_id(read).equals(table)


def test_what_is_asked_for(connection, numbers):
    name, _ = numbers
    snapshot = dt.datetime.now(dt.UTC).replace(microsecond=1000)
    faults = Faults()
    with connection.open(interceptors=[faults]) as clients:
        read = read_rows(clients, name, columns=["id"], restriction="`id` < 10", snapshot=snapshot, spec=ReadSpec(streams=7))
    assert sorted(read["id"].to_pylist()) == list(range(10))
    assert read.column_names == ["id"]
    [request] = faults.requests["CreateReadSession"]
    session = request.read_session
    assert request.parent == f"projects/{connection.project}"
    assert (request.max_stream_count, request.preferred_min_stream_count) == (7, 7)
    assert session.table == name.path
    assert session.data_format == DataFormat.ARROW
    assert session.table_modifiers.snapshot_time.isoformat() == snapshot.isoformat()
    assert list(session.read_options.selected_fields) == ["id"]
    assert session.read_options.row_restriction == "`id` < 10"
    compression = session.read_options.arrow_serialization_options.buffer_compression
    assert compression == ArrowSerializationOptions.CompressionCodec.LZ4_FRAME


def test_a_stream_that_breaks_twice_is_resumed_at_its_offset(connection, long_table):
    faults = Faults()
    faults.broken["ReadRows"] = [(1, UNAVAILABLE), (1, UNAVAILABLE)]
    # Two attempts in a row are allowed; it got further in between, which starts the count anew.
    patient = dataclasses.replace(connection, retry=dataclasses.replace(connection.retry, attempts=2))
    with patient.open(interceptors=[faults]) as clients:
        read = read_rows(clients, long_table, columns=[], spec=ReadSpec(streams=1))
    assert np.array_equal(np.sort(read["id"].to_numpy()), np.arange(N_LONG))
    offsets = [request.offset for request in faults.requests["ReadRows"]]
    assert len(offsets) == 3
    assert 0 == offsets[0] < offsets[1] < offsets[2] < N_LONG
    assert len(faults.requests["CreateReadSession"]) == 1


def test_an_exhausted_resource_is_asked_again_when_the_server_says(connection, numbers):
    name, table = numbers
    faults = Faults()
    faults.broken["CreateReadSession"] = [(0, Broken(grpc.StatusCode.RESOURCE_EXHAUSTED))]
    faults.broken["ReadRows"] = [(1, Broken(grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after_s=0.3))]
    begun = dt.datetime.now(dt.UTC)
    with connection.open(interceptors=[faults]) as clients:
        read = read_rows(clients, name, columns=[], spec=ReadSpec(streams=1))
    assert by_id(read).equals(table)
    assert (dt.datetime.now(dt.UTC) - begun).total_seconds() > 0.3


def test_retries_are_bounded(connection, numbers):
    name, _ = numbers
    faults = Faults()
    faults.broken["ReadRows"] = [(0, UNAVAILABLE)] * 50
    with connection.open(interceptors=[faults]) as clients, pytest.raises(TransientError, match=str(name)):
        read_rows(clients, name, columns=["id"], spec=ReadSpec(streams=1))
    assert len(faults.requests["ReadRows"]) == connection.retry.attempts


def test_an_expired_session_is_opened_again_at_the_same_snapshot(connection, numbers):
    name, table = numbers
    snapshot = dt.datetime.now(dt.UTC)
    faults = Faults()
    expired = Broken(grpc.StatusCode.FAILED_PRECONDITION, "there was an error: session expired at 2026-11-22")
    faults.broken["ReadRows"] = [None, None, (1, expired)]
    with connection.open(interceptors=[faults]) as clients:
        read = read_rows(clients, name, columns=[], snapshot=snapshot)
    assert by_id(read).equals(table)
    first, second = faults.requests["CreateReadSession"]
    assert first == second
    assert first.read_session.table_modifiers.snapshot_time.timestamp() == pytest.approx(snapshot.timestamp(), abs=1e-5)


@pytest.mark.parametrize(
    ("code", "text", "said"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, "request failed", "bigquery.readsessions.create"),
        (grpc.StatusCode.PERMISSION_DENIED, "Permission bigquery.tables.getData denied", "bigquery.tables.getData"),
        (grpc.StatusCode.INVALID_ARGUMENT, "Syntax error", "not a valid request"),
        (grpc.StatusCode.UNAUTHENTICATED, "no token", "gcloud auth application-default login"),
    ],
)
def test_what_is_refused_fails_at_once(connection, numbers, code, text, said):
    name, _ = numbers
    faults = Faults()
    faults.broken["CreateReadSession"] = [(0, Broken(code, text))] * 5
    with connection.open(interceptors=[faults]) as clients, pytest.raises(TerminalError) as caught:
        read_rows(clients, name, columns=["id"])
    assert said in str(caught.value)
    assert str(name) in str(caught.value)
    assert len(faults.requests["CreateReadSession"]) == 1


def test_a_table_that_is_not_there(connection):
    with connection.open() as clients, pytest.raises(TerminalError, match="not found"):
        read_rows(clients, TableName(connection.project, "reading", "nowhere"), columns=[])


@pytest.mark.parametrize(("most", "asked"), [(20_000, []), (3, ["CreateReadSession", "ReadRows"])], ids=["small", "large"])
def test_rows_of_a_query_are_in_its_answer_or_read_as_arrow(connection, monkeypatch, most, asked):
    monkeypatch.setattr(queries, "_MAX_REST_ROWS", most)
    http, faults = HttpFaults(), Faults()
    sql = "SELECT n FROM UNNEST(GENERATE_ARRAY(@first, 5)) AS n"
    with connection.open(interceptors=[faults]) as clients:
        clients.jobs._http.mount("http://", http)
        found = queries.query_table(clients, sql, doing="Asking", parameters={"first": 1})
    [(method, path, body), *others] = http.seen
    assert sorted(found["n"].to_pylist()) == [1, 2, 3, 4, 5]
    assert (method, path.rsplit("/", 1)[-1]) == ("POST", "queries")
    assert (body["query"], body["labels"]) == (sql, {"suite": "integration"})
    assert len(others) == len(faults.requests) // 2  # where the result lies
    assert list(faults.requests) == asked
