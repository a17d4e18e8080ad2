"""What whole jobs ask a server for: statements in GoogleSQL, all of one moment of the table, chunks while others compute."""

from __future__ import annotations

import dataclasses
import threading

import pytest
import sqlglot
from google.cloud.bigquery_storage_v1.services.big_query_read import BigQueryReadClient
from sqlglot import exp

from emberharmony.features import preprocessing
from emberharmony.io.sources.bigquery import read as read_module
from flows.config.job import parse_job
from flows.run import run
from tests.integration.bigquery_tables import recorded

pytestmark = pytest.mark.xdist_group("bigquery-sink")

COLUMNS = ("time_hour", "arr_delay", "carrier", "distance", "overnight")


class Recorder:
    """What jobs ask a server, over whatever clients."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.statements = recorded(monkeypatch)
        self.sessions = []
        open_session = BigQueryReadClient.create_read_session

        def opened(client, request, **settings):
            self.sessions.append(request.read_session)
            return open_session(client, request, **settings)

        monkeypatch.setattr(BigQueryReadClient, "create_read_session", opened)


@pytest.fixture(scope="module")
def datasets(connection):
    with connection.open() as clients:
        for name in ("asked", "asked_copies"):
            clients.jobs.create_dataset(name, exists_ok=True)


def job(connection, flights, path, *, source, sink, **changes):
    ways = {"connection": dataclasses.asdict(connection), "temporary_dataset": "asked_copies", "columns": COLUMNS}
    return parse_job(
        {
            "source": {"type": "bigquery", "where": "month = 1 AND day <= 3 -- three days"} | ways | source,
            "sink": {"path": str(path)} | sink,
            "runtime": {"engine": "local", "workers": 1, "backend": "numpy"} | changes.pop("runtime", {}),
        }
        | changes
    )


def parsed(statements: list[str]) -> list[exp.Expression]:
    return [sqlglot.parse_one(sql, dialect="bigquery", error_level=sqlglot.ErrorLevel.RAISE) for sql in statements]


def moments_of(trees: list[exp.Expression], table: str) -> set[str]:
    """The moments, in ISO, at which a table is read."""
    found = [tree for tree in trees if tree.key != "create"]  # a copy is made before the moment at which it is read
    tables = [node for tree in found for node in tree.find_all(exp.Table) if node.name == table]
    assert tables
    versions = [node.args.get("version") for node in tables]
    assert all(version and version.this == "TIMESTAMP" and version.args["kind"] == "AS OF" for version in versions)
    return {version.expression.find(exp.Literal).this.replace(" ", "T") for version in versions}


def test_from_table_to_tables(connection, flights, datasets, monkeypatch, tmp_path):
    recorder = Recorder(monkeypatch)
    source = {"table": str(flights.table), "profile": "query"}
    tables = {"type": "bigquery", "dataset": "asked", "connection": dataclasses.asdict(connection)}
    sink = tables | {"write_disposition": "replace_partitions"}
    columns = {"time": "time_hour", "target": "arr_delay"}
    outcome = run(job(connection, flights, tmp_path / "out", source=source, sink=sink, columns=columns))
    trees = parsed(recorder.statements)
    assert {tree.key for tree in trees} >= {"select", "merge"}
    read_at = outcome.manifest.spec["source"]["pin"]["read_at"].replace("Z", "+00:00")
    assert moments_of(trees, "flights") == {read_at}
    reads = [session for session in recorder.sessions if session.table.endswith("/flights")]
    assert {session.table_modifiers.snapshot_time.isoformat() for session in reads} == {read_at}
    assert len(reads) == 4  # the times around two boundaries, those of the one chunk that they cut, and its rows


def test_from_a_query_that_nothing_orders(connection, flights, datasets, monkeypatch, tmp_path):
    recorder = Recorder(monkeypatch)
    source = {"query": f"SELECT * FROM {flights.table.sql} -- all of them;"}
    unordered = {"windows": {"strides": []}, "columns": {"target": "arr_delay"}}
    outcome = run(job(connection, flights, tmp_path / "out", source=source, sink={}, **unordered))
    trees = parsed(recorder.statements)
    assert {tree.key for tree in trees} >= {"select", "create"}
    pin = outcome.manifest.spec["source"]["pin"]
    copy, read_at = pin["table"].split(".")[-1], pin["read_at"].replace("Z", "+00:00")
    assert moments_of(trees, copy) == {read_at}
    assert {session.table_modifiers.snapshot_time.isoformat() for session in recorder.sessions} == {read_at}
    assert {session.table.split("/")[-1] for session in recorder.sessions} == {copy}


def test_chunks_are_read_while_others_are_computed(connection, flights, datasets, monkeypatch, tmp_path):
    """The first chunk's features are held up until the rows of a later one have come."""
    read_rows, encode = read_module.read_rows, preprocessing.encode
    computing, came = threading.Event(), threading.Event()
    first = threading.Lock()

    def reads(*arguments, **settings):
        rows = read_rows(*arguments, **settings)
        if computing.is_set():
            came.set()
        return rows

    def encodes(*arguments):
        if first.acquire(blocking=False):
            computing.set()
            assert came.wait(120), "no chunk was read meanwhile"
        return encode(*arguments)

    monkeypatch.setattr(read_module, "read_rows", reads)
    monkeypatch.setattr(preprocessing, "encode", encodes)
    runtime = {"chunk_rows": 600, "workers": 2}
    columns = {"time": "time_hour", "target": "arr_delay"}
    source = {"table": str(flights.table)}
    outcome = run(job(connection, flights, tmp_path / "out", source=source, sink={}, columns=columns, runtime=runtime))
    assert sum(outcome.manifest.rows.values()) == 2_699
