"""One BigQuery server for the whole session: if it cannot start, the run fails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emberharmony.io.bigquery import BigQueryConnection, RetrySpec
from tests.integration.emulator import server


@pytest.fixture(scope="session")
def bigquery_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Emulator]:
    emulator = server.start(tmp_path_factory.mktemp("bigquery"))
    yield emulator
    emulator.stop()


@pytest.fixture(scope="session")
def connection(bigquery_server: server.Emulator) -> BigQueryConnection:
    return BigQueryConnection(
        project=bigquery_server.project,
        location="US",
        api_endpoint=bigquery_server.rest_url,
        grpc_endpoint=bigquery_server.grpc_address,
        insecure=True,
        labels={"suite": "integration"},
        retry=RetrySpec(attempts=4, first_wait_s=0.01, max_wait_s=0.05, request_deadline_s=20.0),
    )
