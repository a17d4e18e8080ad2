"""One BigQuery server for the whole session: if it cannot start, the run fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import gcp_storage_emulator.storage
import pyarrow.parquet as pq
import pytest
from gcp_storage_emulator.server import create_server

from emberharmony.io.bigquery import BigQueryConnection, RetrySpec, TableName
from emberharmony.io.bigquery.schema import table_fields
from flows.cli.flights import prepare_flights
from tests.integration.emulator import server

ROOT = Path(__file__).parents[2]


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
def connection(bigquery_server: server.Emulator, storage_server: str) -> BigQueryConnection:
    return BigQueryConnection(
        project=bigquery_server.project,
        location="US",
        api_endpoint=bigquery_server.rest_url,
        grpc_endpoint=bigquery_server.grpc_address,
        storage_endpoint=storage_server,
        insecure=True,
        labels={"suite": "integration"},
        retry=RetrySpec(attempts=4, first_wait_s=0.01, max_wait_s=0.05, request_deadline_s=20.0),
    )


@pytest.fixture(scope="session")
def flights(connection: BigQueryConnection, tmp_path_factory: pytest.TempPathFactory) -> Flights:
    """The demo's table, loaded by a load job; nothing writes to it."""
    from google.cloud import bigquery

    path = prepare_flights(ROOT / "data" / "flights.parquet")
    name = TableName(connection.project, "raw", "flights")
    with connection.open() as clients:
        clients.jobs.create_dataset("raw", exists_ok=True)
        # Created first: of a table that a load makes by itself, this server forgets the time of the last change.
        fields = table_fields(pq.read_schema(path), pq.read_schema(path).names, {})
        clients.jobs.create_table(bigquery.Table(str(name), fields))
        config = bigquery.LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_TRUNCATE")
        with path.open("rb") as file:
            clients.jobs.load_table_from_file(file, str(name), job_config=config, job_id="flights").result()
    return Flights(name, path)
