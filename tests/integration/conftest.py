"""One BigQuery server for the whole session: if it cannot start, the run fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import gcp_storage_emulator.storage
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from gcp_storage_emulator.server import create_server
from google.cloud import bigquery

from emberharmony.io.bigquery import BigQueryConnection, RetrySpec, TableName
from emberharmony.io.bigquery.schema import table_fields
from emberharmony.io.sinks.bigquery.spec import BigQuerySinkSpec
from emberharmony.io.sinks.bigquery.tables import OutputTable
from tests.integration.bigquery_tables import METHODS, Published, in_bucket, make_table
from tests.integration.emulator import server

collect_ignore = ["emulator/quick.py"]  # for the emulator's own Python
ROOT = Path(__file__).parents[2]
RAW = "raw"
ALL, SOME = "all_flights", "flights"


class Flights(NamedTuple):
    """The flights, as a table of the server and as the file they come from."""

    table: TableName
    path: Path


@pytest.fixture(scope="session")
def bigquery_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Emulator]:
    emulator = server.start(tmp_path_factory.mktemp("bigquery"))
    yield emulator
    emulator.stop()


@pytest.fixture(scope="session")
def storage_server(bigquery_server: server.Emulator) -> Iterator[str]:
    """Address of a Cloud Storage server with a bucket `staging`, whose files lie where the BigQuery server reads them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gcp_storage_emulator.storage, "STORAGE_DIR", bigquery_server.gcs.name)
        port = server.free_port()
        with create_server("127.0.0.1", port, default_bucket="staging", data_dir=str(bigquery_server.gcs.parent)):
            yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def session_connection(bigquery_server: server.Emulator, storage_server: str) -> BigQueryConnection:
    """The connection, for what all modules share."""
    connection = BigQueryConnection(
        project=bigquery_server.project,
        location="US",
        api_endpoint=bigquery_server.rest_url,
        grpc_endpoint=bigquery_server.grpc_address,
        storage_endpoint=storage_server,
        insecure=True,
        labels={"suite": "integration"},
        retry=RetrySpec(attempts=4, first_wait_s=0.01, max_wait_s=0.05, request_deadline_s=20.0),
    )
    with connection.open() as clients:
        clients.jobs.create_dataset(RAW)
    return connection


@pytest.fixture(scope="module")
def connection(session_connection: BigQueryConnection) -> Iterator[BigQueryConnection]:
    """The connection; what a module has made is removed after it: every table makes every request to this server slower."""
    yield session_connection
    with session_connection.open() as clients:
        for dataset in clients.jobs.list_datasets():
            if dataset.dataset_id != RAW:
                clients.jobs.delete_dataset(dataset.reference, delete_contents=True)
        for table in clients.jobs.list_tables(RAW):
            if table.table_id not in (SOME, ALL):
                clients.jobs.delete_table(table.reference)


@pytest.fixture(scope="session")
def all_flights(session_connection: BigQueryConnection, flights_file: Path) -> Flights:
    """The demo's table; nothing writes to it."""
    return _loaded(session_connection, flights_file, ALL)


@pytest.fixture(scope="session")
def flights(session_connection: BigQueryConnection, flights_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Flights:
    """Flights of the first three days of every month, and of the last day of the year; nothing writes to them."""
    rows = pq.read_table(flights_file)
    early = pc.less_equal(rows["day"], 3)
    last = pc.and_(pc.equal(rows["month"], 12), pc.equal(rows["day"], 31))
    path = tmp_path_factory.mktemp("flights") / "flights.parquet"
    pq.write_table(rows.filter(pc.or_(early, last)), path)
    return _loaded(session_connection, path, SOME)


def _loaded(connection: BigQueryConnection, path: Path, table: str) -> Flights:
    """A table of the server, loaded by a load job, and the file that it comes from."""
    name = TableName(connection.project, RAW, table)
    with connection.open() as clients:
        # Created first: of a table that a load makes by itself, this server forgets the time of the last change.
        fields = table_fields(pq.read_schema(path), pq.read_schema(path).names, {})
        clients.jobs.create_table(bigquery.Table(str(name), fields))
        config = bigquery.LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_TRUNCATE")
        with path.open("rb") as file:
            clients.jobs.load_table_from_file(file, str(name), job_config=config, job_id=table).result()
    return Flights(name, path)


# ---- of the sink ---------------------------------------------------------------------------------------------------


@pytest.fixture
def dataset(connection, request) -> Iterator[str]:
    name = f"sink_{abs(hash(request.node.nodeid))}"
    with connection.open() as clients:
        clients.jobs.create_dataset(name)
        yield name
        clients.jobs.delete_dataset(name, delete_contents=True)  # the server takes longer with every table that it has


@pytest.fixture
def table(tmp_path, request) -> OutputTable:
    """Features, whose parts are where the test's sink wants them."""
    made = make_table(tmp_path / "features")
    spec = request.getfixturevalue("by_method") if "by_method" in request.fixturenames else None
    return made if spec is None or spec.load_files is None else in_bucket(made, spec)


@pytest.fixture
def spec(connection, dataset) -> BigQuerySinkSpec:
    return BigQuerySinkSpec(dataset=dataset, path="unused", connection=connection, labels={"team": "air"})


@pytest.fixture
def published(connection, dataset) -> Published:
    return Published(connection, dataset)


@pytest.fixture(params=METHODS)
def by_method(request, spec) -> BigQuerySinkSpec:
    return dataclasses.replace(spec, **METHODS[request.param])
