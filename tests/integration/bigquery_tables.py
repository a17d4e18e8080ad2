"""Tables to publish, what then lies in the dataset, and an HTTP connection that breaks where a test says."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections import defaultdict
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
import requests.adapters
from google.cloud import bigquery

from emberharmony.io.bigquery import TableName
from emberharmony.io.bigquery.connection import Clients
from emberharmony.io.parts import Encoding, write_part
from emberharmony.io.sinks.bigquery.bucket import CloudObjects
from emberharmony.io.sinks.bigquery.publish import BigQuerySink
from emberharmony.io.sinks.bigquery.runs import PublishedRun
from emberharmony.io.sinks.bigquery.spec import BigQuerySinkSpec
from emberharmony.io.sinks.bigquery.tables import OutputTable, Part
from emberharmony.io.store.address import BucketAddress
from emberharmony.io.store.local import LocalStore
from emberharmony.io.store.object_store import ObjectStore
from tests.integration.bigquery_faults import Faults

SPLITS = ("train", "validation", "test")
DAY = dt.timedelta(days=1)


class HttpFaults(requests.adapters.HTTPAdapter):
    """Records what is asked over REST, and answers the next requests of a method and path with an error of its own."""

    def __init__(self):
        super().__init__()
        self.seen: list[tuple[str, str, dict]] = []
        self.urls: list[str] = []
        self.broken: dict[tuple[str, str], list[int]] = defaultdict(list)

    def send(self, request, **settings):
        self.urls.append(request.url)
        path = urlsplit(request.url).path
        body = request.body or b""
        body = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else b""
        self.seen.append((request.method, path, _json(body)))
        for (method, end), statuses in self.broken.items():
            if request.method == method and path.endswith(end) and statuses and (status := statuses.pop(0)):
                if status < 0:  # done there, but the answer was lost
                    super().send(request, **settings)
                answer = requests.Response()
                answer.status_code = abs(status)
                answer.request, answer.url = request, request.url
                answer._content = json.dumps({"error": {"code": abs(status), "message": "injected", "errors": []}}).encode()
                return answer
        return super().send(request, **settings)

    def jobs(self, kind: str) -> list[dict]:
        """Configurations of the jobs of a kind that were begun."""
        return [body for _, _, body in self.seen if kind in body.get("configuration", {})]


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that this process sends from now on."""
    statements: list[str] = []

    def recording(send):
        def asked(client, sql, *rest, **settings):
            statements.append(sql)
            return send(client, sql, *rest, **settings)

        return asked

    for name in ("query", "query_and_wait"):
        monkeypatch.setattr(bigquery.Client, name, recording(getattr(bigquery.Client, name)))
    return statements


def _json(body: bytes) -> dict:
    if body.startswith(b"--"):  # multipart: the job first, then the rows
        body = body.split(b"\r\n\r\n", 2)[1].split(b"\r\n--")[0]
    try:
        return json.loads(body)
    except ValueError:
        return {}


def make_table(folder: Path, *, name: str = "features", first_day: int = 1, days: int = 6, x: float = 0):
    """A table of 100 rows a day in two parts for each split."""
    n = 100 * days
    start = dt.datetime(2026, 1, first_day, tzinfo=dt.UTC)
    times = [start + DAY * (i / 100) for i in range(n)]
    table = pa.table(
        {
            "row_number": pa.array(range(n), pa.int64()),
            "t": pa.array(times, pa.timestamp("us", "UTC")),
            "carrier_AA": pa.array(np.full(n, x, np.float32)),
            "carrier_aa": pa.array(np.arange(n, dtype=np.float32)),
        }
    )
    cuts = {"train": (0, n // 2), "validation": (n // 2, 3 * n // 4), "test": (3 * n // 4, n)}
    parts = []
    for split, (low, high) in cuts.items():
        for number, (begin, end) in enumerate([(low, (low + high) // 2), ((low + high) // 2, high)]):
            path = folder / f"split={split}" / f"part-{number:05}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table.slice(begin, end - begin), path)
            parts.append(Part(LocalStore(path.parent), path.name, split))
    rows = {split: high - low for split, (low, high) in cuts.items()}
    descriptions = {"carrier_AA": "1 where carrier is AA"}
    return OutputTable(
        name,
        tuple(parts),
        rows,
        run_id=f"run-{x}-{days}",
        time="t",
        description="Rows to learn from",
        descriptions=descriptions,
    )


def in_bucket(table: OutputTable, spec: BigQuerySinkSpec, run: str = "0123456789abcdef") -> OutputTable:
    """The table with its parts in Cloud Storage, as workers write them for the sink."""
    address = BucketAddress.parse(spec.load_files)
    store = ObjectStore(CloudObjects(spec.connection, address.bucket), address / run)
    parts = []
    for part in table.parts:
        rows = BigQuerySink(spec).as_part(part.read(), split=part.split, run_id=table.run_id)
        name = f"{table.name}/split={part.split}/{part.file}"
        parts.append(Part(store, write_part(store, name, rows, Encoding()), part.split))
    return dataclasses.replace(table, parts=tuple(parts))


def make_run(table: OutputTable, fingerprint: str = "f1") -> PublishedRun:
    return PublishedRun(fingerprint, table.n_rows, table.rows, {"1": table.rows}, 2, {"a": 1}, "/state", "0.1")


class Published:
    """What lies in the dataset."""

    def __init__(self, connection, dataset):
        self._connection, self._dataset = connection, dataset

    def rows(self, table: str = "features") -> list[tuple]:
        name = TableName(self._connection.project, self._dataset, table)
        with self._connection.open() as clients:
            return sorted(tuple(row) for row in clients.jobs.query_and_wait(f"SELECT * FROM {name.sql}"))

    def tables(self) -> list[str]:
        with self._connection.open() as clients:
            return sorted(table.table_id for table in clients.jobs.list_tables(self._dataset))


def expected(*tables: OutputTable) -> list[tuple]:
    parts = [(part, table.run_id) for table in tables for part in table.parts]
    read = [(part.read().to_pylist(), part.split, run_id) for part, run_id in parts]
    return sorted((*row.values(), split, run_id) for rows, split, run_id in read for row in rows)


def load_file(clients: Clients, file: Path, table: str, *, layout: str = "") -> None:
    """Load a Parquet file into a table, given as `dataset.name`, with a clause that partitions or clusters it."""
    config = bigquery.LoadJobConfig(source_format="PARQUET")
    loaded = f"{table.partition('.')[0]}.loaded"
    with file.open("rb") as opened:
        clients.jobs.load_table_from_file(opened, f"{clients.jobs.project}.{loaded}", job_config=config).result()
    # Of a table that a load makes by itself, this server forgets the time of the last change.
    clients.jobs.query_and_wait(f"CREATE OR REPLACE TABLE {table} {layout} AS SELECT * FROM {loaded}")


def open_with(spec, http: HttpFaults, faults: Faults | None = None):
    clients = spec.connection.open(interceptors=[faults] if faults else [])
    clients.jobs._http.mount("http://", http)
    clients.sleep = lambda seconds: None
    return clients


METHODS = {"upload": {}, "bucket": {"staging": "gs://staging/runs"}, "storage_write": {"method": "storage_write"}}
