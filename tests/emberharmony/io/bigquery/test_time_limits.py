"""A server that takes every connection and never says a word is given up in time, whatever was asked of it."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator
from unittest.mock import patch

import pytest

from emberharmony.errors import TransientError
from emberharmony.io.bigquery import BigQueryConnection, Clients, RetrySpec, TableName
from emberharmony.io.bigquery.metadata import dataset_location, remove
from emberharmony.io.bigquery.queries import find_job, query_row, run_query, table_of
from emberharmony.io.bigquery.read import read_rows
from emberharmony.io.sinks.bigquery.append import _commit, _unary
from emberharmony.io.sinks.bigquery.bucket import CloudObjects, remove_all
from emberharmony.io.sinks.bigquery.load import run_once

TABLE = TableName("project-1", "data", "rows")
LIMITS = RetrySpec(attempts=2, first_wait_s=0.01, max_wait_s=0.02, request_deadline_s=0.5, silence_s=0.5)


@pytest.fixture(scope="module")
def silent() -> Iterator[str]:
    """Address of a server that listens, and holds what it accepts."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    held.append(server.accept()[0])
                except OSError:  # closed
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    for connection in held:
        connection.close()


@pytest.fixture
def clients(silent) -> Iterator[Clients]:
    connection = BigQueryConnection(
        project="project-1",
        api_endpoint=f"http://{silent}",
        grpc_endpoint=silent,
        storage_endpoint=f"http://{silent}",
        insecure=True,
        retry=LIMITS,
    )
    with connection.open() as made:
        yield made


def load(clients: Clients, job_id: str):
    return clients.jobs.load_table_from_file(io.BytesIO(b"rows"), str(TABLE), size=4, job_id=job_id, num_retries=0)


def write(clients: Clients):
    objects = CloudObjects(clients.connection, "bucket")
    with patch.object(CloudObjects, "_clients", clients):
        objects.put("file", b"rows")


CALLS = {
    "look up a table": lambda clients: table_of(clients, TABLE),
    "look up a job": lambda clients: find_job(clients, "job", doing="Loading"),
    "look up a dataset": lambda clients: dataset_location(clients, TABLE),
    "remove a table": lambda clients: remove(clients, TABLE),
    "write a file": lambda clients: write(clients),
    "clear a bucket": lambda clients: remove_all(clients, "gs://bucket/folder/"),
    "query": lambda clients: query_row(clients, "SELECT 1", doing="Asking"),
    "dry run": lambda clients: run_query(clients, "SELECT 1", doing="Asking", dry_run=True),
    "query once": lambda clients: run_query(clients, "SELECT 1", doing="Asking", job_id="job"),
    "load": lambda clients: run_once(clients, "key", lambda job_id: load(clients, job_id), doing="Loading"),
    "read": lambda clients: read_rows(clients, TABLE, columns=[]),
    "commit": lambda clients: _commit(clients, TABLE, ["stream"], "Appending"),
    "append": lambda clients: _unary(
        clients, lambda limit: clients.writer.create_write_stream(parent=TABLE.path, retry=None, timeout=limit), "Appending"
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.timeout(240)
def test_every_call_ends(clients, call):
    begun = time.monotonic()
    with pytest.raises(TransientError, match="every attempt allowed"):
        call(clients)
    assert time.monotonic() - begun < 120  # some half seconds; a busy machine is slow now and then
