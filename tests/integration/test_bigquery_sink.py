"""Tables out: each row once, whatever dies on the way, in tables laid out as documented."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
import requests.adapters
from google.cloud.bigquery import SchemaField, Table, TimePartitioning

from emberharmony.errors import DataError, PlanError, TerminalError, TransientError
from emberharmony.io.bigquery import TableName
from emberharmony.io.sinks.bigquery import append as append_module
from emberharmony.io.sinks.bigquery import publication as sink_module
from emberharmony.io.sinks.bigquery.publication import Publication
from emberharmony.io.sinks.bigquery.runs import PublishedRun
from emberharmony.io.sinks.bigquery.spec import BigQuerySinkSpec
from emberharmony.io.sinks.bigquery.tables import OutputTable, Part
from emberharmony.io.store.local import LocalStore
from tests.integration.bigquery_faults import Broken, Faults

pytestmark = pytest.mark.xdist_group("bigquery-sink")

SPLITS = ("train", "validation", "test")
DAY = dt.timedelta(days=1)


class HttpFaults(requests.adapters.HTTPAdapter):
    """Records what is asked over REST, and answers the next requests of a method and path with an error of its own."""

    def __init__(self):
        super().__init__()
        self.seen: list[tuple[str, str, dict]] = []
        self.broken: dict[tuple[str, str], list[int]] = defaultdict(list)

    def send(self, request, **settings):
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


def _json(body: bytes) -> dict:
    if body.startswith(b"--"):  # multipart: the job first, then the rows
        body = body.split(b"\r\n\r\n", 2)[1].split(b"\r\n--")[0]
    try:
        return json.loads(body)
    except ValueError:
        return {}


@pytest.fixture
def dataset(connection, request) -> Iterator[str]:
    name = f"sink_{abs(hash(request.node.nodeid))}"
    with connection.open() as clients:
        clients.jobs.create_dataset(name)
        yield name
        clients.jobs.delete_dataset(name, delete_contents=True)  # the server takes longer with every table that it has


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


def make_run(table: OutputTable, fingerprint: str = "f1") -> PublishedRun:
    return PublishedRun(fingerprint, table.n_rows, table.rows, {"1": table.rows}, 2, {"a": 1}, "/state", "0.1")


@pytest.fixture
def table(tmp_path) -> OutputTable:
    return make_table(tmp_path / "features")


@pytest.fixture
def spec(connection, dataset) -> BigQuerySinkSpec:
    return BigQuerySinkSpec(dataset=dataset, path="unused", connection=connection, labels={"team": "air"})


class Published:
    """What lies in the dataset."""

    def __init__(self, connection, dataset):
        self._connection, self._dataset = connection, dataset

    def rows(self, table: str = "features") -> list[tuple]:
        name = TableName(self._connection.project, self._dataset, table)
        with self._connection.open() as clients:
            return sorted(tuple(row) for row in clients.jobs.query(f"SELECT * FROM {name.sql}").result())

    def tables(self) -> list[str]:
        with self._connection.open() as clients:
            return sorted(table.table_id for table in clients.jobs.list_tables(self._dataset))


@pytest.fixture
def published(connection, dataset) -> Published:
    return Published(connection, dataset)


def expected(*tables: OutputTable) -> list[tuple]:
    parts = [(part, table.run_id) for table in tables for part in table.parts]
    read = [
        (pq.read_table(part.store.path(part.file), partitioning=None).to_pylist(), part.split, run_id)
        for part, run_id in parts
    ]
    return sorted((*row.values(), split, run_id) for rows, split, run_id in read for row in rows)


def open_with(spec, http: HttpFaults, faults: Faults | None = None):
    clients = spec.connection.open(interceptors=[faults] if faults else [])
    clients.jobs._http.mount("http://", http)
    clients.sleep = lambda seconds: None
    return clients


METHODS = {"upload": {}, "bucket": {"staging": "gs://staging/runs"}, "storage_write": {"method": "storage_write"}}


@pytest.fixture(params=METHODS)
def by_method(request, spec) -> BigQuerySinkSpec:
    return dataclasses.replace(spec, **METHODS[request.param])


def test_rows_columns_and_layout(by_method, table, published, connection, dataset):
    http = HttpFaults()
    with open_with(by_method, http) as clients:
        Publication(by_method, clients).publish([table], make_run(table))
        there = clients.jobs.get_table(f"{dataset}.features")
        line = next(iter(clients.jobs.query(f"SELECT * FROM `{dataset}.runs`").result()))
    assert published.rows() == expected(table)
    assert published.tables() == ["features", "runs"]
    assert [field.name for field in there.schema] == ["row_number", "t", "carrier_AA", "carrier_aa_2", "split", "run_id"]
    assert (there.time_partitioning.type_, there.time_partitioning.field) == ("DAY", "t")
    assert there.clustering_fields == ["split"]
    assert there.labels == {"suite": "integration", "team": "air"}
    assert there.description == "Rows to learn from"
    assert {field.name: field.description for field in there.schema}["carrier_AA"] == "1 where carrier is AA"
    assert (line["fingerprint"], line["source_rows"], json.loads(line["rows"])) == ("f1", 600, table.rows)
    for job in [*http.jobs("load"), *http.jobs("copy")]:
        assert job["jobReference"]["jobId"].startswith("emberharmony-")
        assert job["configuration"]["labels"] == {"suite": "integration"}


def test_twice_is_once(by_method, table, published):
    by_method = dataclasses.replace(by_method, write_disposition="append")
    with by_method.connection.open() as clients:
        for _ in range(2):
            Publication(by_method, clients).publish([table], make_run(table))
    assert published.rows() == expected(table)
    assert len(published.rows("runs")) == 1


STEPS = ("_stage", "_count", "_publish", "_describe", "_tell")


@pytest.mark.parametrize("by_method", ["upload", "storage_write"], indirect=True)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_death_at_any_step_loses_and_doubles_nothing(by_method, table, published, step, after, monkeypatch):
    """Killed before or after a step, and started again: the same rows, once."""
    by_method = dataclasses.replace(by_method, write_disposition="append")
    real = getattr(Publication, step)

    def dies(self, *arguments):
        if after:
            real(self, *arguments)
        raise KeyboardInterrupt

    with by_method.connection.open() as clients:
        sink = Publication(by_method, clients)
        monkeypatch.setattr(Publication, step, dies)
        with pytest.raises(KeyboardInterrupt):
            sink.publish([table], make_run(table))
        if step in ("_stage", "_count"):
            assert "features" not in published.tables()
        monkeypatch.setattr(Publication, step, real)
        Publication(by_method, clients).publish([table], make_run(table))
    assert published.rows() == expected(table)
    assert len(published.rows("runs")) == 1


@pytest.mark.parametrize("by_method", ["upload", "bucket"], indirect=True)
@pytest.mark.parametrize("statuses", [[503, 0, 500], [-500]], ids=str)
def test_an_answer_of_500_is_asked_again(by_method, table, published, statuses):
    """Also where the job did begin and only its answer was lost: then the id is taken, and that job is waited for."""
    http = HttpFaults()
    http.broken["POST", "/jobs"] = list(statuses)
    by_method = dataclasses.replace(by_method, write_disposition="append")
    with open_with(by_method, http) as clients:
        Publication(by_method, clients).publish([table], make_run(table))
    assert published.rows() == expected(table)
    assert len(published.rows("runs")) == 1


def test_a_job_id_that_is_taken_is_waited_for(spec, table, published):
    http = HttpFaults()
    with open_with(spec, http) as clients:
        sink = Publication(spec, clients)
        find = sink_module.find_job
        load = __import__("emberharmony.io.sinks.bigquery.load", fromlist=["find_job"])
        into = sink._stage(table, sink._key("f1", ""))
        before = len(http.jobs("load"))
        try:
            load.find_job = lambda *_, **__: None  # as if another process had begun it just now
            sink._fill(table, into, f"{sink._key('f1', '')}-features-load-0")
        finally:
            load.find_job = find
        assert len(http.jobs("load")) == before + 1  # asked, refused with 409, and found done
        assert sink._rows_of(into) == table.n_rows


def test_a_load_job_that_fails_is_a_new_attempt_later(spec, table, published, monkeypatch):
    http = HttpFaults()
    load = __import__("emberharmony.io.sinks.bigquery.load", fromlist=["write_parquet"])
    write = load.write_parquet
    monkeypatch.setattr(load, "write_parquet", lambda table, parts, path: path.write_bytes(b"PAR1 not PAR1"))
    with open_with(spec, http) as clients:
        with pytest.raises(TerminalError, match="Loading part 0"):
            Publication(spec, clients).publish([table], make_run(table))
        assert published.tables() == [name for name in published.tables() if name.startswith("emberharmony_")]
        monkeypatch.setattr(load, "write_parquet", write)
        Publication(spec, clients).publish([table], make_run(table))
    ids = [job["jobReference"]["jobId"] for job in http.jobs("load") if "-load-" in job["jobReference"]["jobId"]]
    assert [job[-2:] for job in ids] == ["-0", "-1"]
    assert published.rows() == expected(table)


def test_a_staging_table_that_was_lost_is_made_anew(by_method, table, published, monkeypatch):
    with by_method.connection.open() as clients:
        sink = Publication(by_method, clients)
        key = sink._key("f1", "")
        clients.jobs.delete_table(str(sink._stage(table, key)))
        sink.publish([table], make_run(table))
    assert published.rows() == expected(table)


def test_rows_that_do_not_match_the_manifest_are_not_published(by_method, table, published, monkeypatch):
    with by_method.connection.open() as clients:
        sink = Publication(by_method, clients)
        wrong = dataclasses.replace(table, rows={**table.rows, "train": 299})
        with pytest.raises(DataError, match="manifest says"):
            sink.publish([wrong], make_run(table))
        assert published.tables() == []
        monkeypatch.setattr(OutputTable, "check_parts", lambda self: None)
        with pytest.raises(DataError, match="was staged with"):
            sink.publish([wrong], make_run(table))
        assert published.tables() == []
        sink.publish([table], make_run(table))
    assert published.rows() == expected(table)


def test_dispositions(spec, tmp_path, published):
    first, second = (make_table(tmp_path / str(x), x=x) for x in (1, 2))

    def publish(table, fingerprint, disposition, nonce=""):
        changed = dataclasses.replace(spec, write_disposition=disposition)
        with spec.connection.open() as clients:
            Publication(changed, clients).publish([table], make_run(table, fingerprint), nonce=nonce)

    publish(first, "f1", "fail")
    with pytest.raises(DataError, match="600 rows"):
        publish(second, "f2", "fail")
    assert published.rows() == expected(first)
    publish(second, "f2", "append")
    assert published.rows() == expected(first, second)
    publish(second, "f2", "append")
    assert published.rows() == expected(first, second)
    publish(second, "f2", "replace")
    assert published.rows() == expected(second)
    publish(first, "f1", "replace")
    publish(second, "f2", "replace", nonce="anew")
    assert published.rows() == expected(second)
    assert len(published.rows("runs")) == 5


def test_a_nightly_slice_replaces_its_partitions(spec, tmp_path, published):
    spec = dataclasses.replace(spec, write_disposition="replace_partitions")
    week = make_table(tmp_path / "week", x=1)
    night = make_table(tmp_path / "night", first_day=5, days=4, x=2)
    with spec.connection.open() as clients:
        for number, table in enumerate([week, night, night]):
            Publication(spec, clients).publish([table], make_run(table, f"f{number}"))
    kept = [row for row in expected(week) if row[1] < dt.datetime(2026, 1, 5, tzinfo=dt.UTC)]
    assert len(kept) == 400
    assert published.rows() == sorted([*kept, *expected(night)])
    timeless = dataclasses.replace(week, time=None)
    with spec.connection.open() as clients, pytest.raises((PlanError, DataError)):
        Publication(spec, clients).publish([timeless], make_run(week, "f9"))


# Columns whose values need a type of their own; not BYTES, which this server expects as base64 in Parquet, too.
EXACT = pa.table(
    {
        "row_number": pa.array([0, 1, 2]),
        "id": pa.array([2**64 - 1, 2**63, None], pa.uint64()),
        "cents": pa.array([Decimal("0.01"), Decimal("-" + "9" * 29 + ".5"), None], pa.decimal128(38, 9)),
        "wei": pa.array([Decimal("1.123456789012345678"), Decimal("-0.000000000000000001"), None], pa.decimal128(38, 18)),
        "day": pa.array([dt.date(1, 1, 1), dt.date(9999, 12, 31), None], pa.date32()),
        "hour": pa.array([dt.time(23, 59, 59, 999_999), dt.time(0), None], pa.time64("us")),
        "half": pa.array([1.5, -2.0, None], pa.float16()),
        "seen": pa.array([1_767_225_600_000_001_000, 0, None], pa.timestamp("ns", "Asia/Tokyo")),
        "kind": pa.array(["a", "a", None]).dictionary_encode(),
    }
)


@pytest.mark.parametrize("method", ["upload", "storage_write"])
def test_values_are_published_exactly(spec, tmp_path, published, method):
    spec = dataclasses.replace(spec, **METHODS[method])
    pq.write_table(EXACT, tmp_path / "part.parquet")
    table = OutputTable("features", (Part(LocalStore(tmp_path), "part.parquet", "train"),), {"train": 3}, run_id="f1")
    http = HttpFaults()
    with open_with(spec, http) as clients:
        Publication(spec, clients).publish([table], make_run(table))
        there = clients.jobs.get_table(f"{spec.dataset}.features")
    kinds = {field.name: field.field_type for field in there.schema}
    assert (kinds["id"], kinds["cents"], kinds["wei"]) == ("NUMERIC", "NUMERIC", "BIGNUMERIC")
    for job in http.jobs("load")[:-1]:
        assert job["configuration"]["load"]["decimalTargetTypes"] == ["NUMERIC", "BIGNUMERIC"]
    for found, row in zip(published.rows(), EXACT.to_pylist(), strict=True):
        assert dict(zip(kinds, found, strict=True)) == {**row, "split": "train", "run_id": "f1"}


# Columns of `runs` before there were `run_id` and `drift`.
OLD_RUNS = [
    *(SchemaField(name, "TIMESTAMP") for name in ["published_at"]),
    *(SchemaField(name, "INT64") for name in ["source_rows", "features"]),
    *(SchemaField(name, "STRING") for name in ["fingerprint", "version", "rows", "windows", "tables"]),
    *(SchemaField(name, "STRING") for name in ["write_disposition", "state", "config"]),
]


def test_tables_of_an_earlier_version_get_the_new_columns(spec, tmp_path, published):
    spec = dataclasses.replace(spec, write_disposition="append")
    table = make_table(tmp_path, days=1)
    with spec.connection.open() as clients:
        dataset = f"{clients.project}.{spec.dataset}"
        old = Table(f"{dataset}.features", [field for field in table.fields() if field.name != "run_id"])
        old.time_partitioning = TimePartitioning("DAY", field="t")
        clients.jobs.create_table(old)
        clients.jobs.create_table(Table(f"{dataset}.runs", OLD_RUNS))
        clients.jobs.query(f"INSERT INTO `{dataset}.features` (row_number, split) VALUES (-1, 'train')").result()
        clients.jobs.query(f"INSERT INTO `{dataset}.runs` (fingerprint) VALUES ('f0')").result()
        Publication(spec, clients).publish([table], dataclasses.replace(make_run(table, "f2"), drift={"x": {"psi": 0.5}}))
        runs = clients.jobs.query(f"SELECT fingerprint, run_id, drift FROM `{dataset}.runs` ORDER BY fingerprint").result()
        assert [tuple(row) for row in runs] == [("f0", None, None), ("f2", "f2", '{"x": {"psi": 0.5}}')]
    assert published.rows() == [(-1, None, None, None, "train", None), *expected(table)]


@pytest.mark.parametrize("disposition", ["append", "replace_partitions"])
def test_a_run_of_no_rows_adds_none(spec, table, published, tmp_path, disposition, caplog):
    spec = dataclasses.replace(spec, write_disposition=disposition)
    none = make_table(tmp_path / "none", days=0)
    with spec.connection.open() as clients:
        Publication(spec, clients).publish([table], make_run(table))
        Publication(spec, clients).publish([none], make_run(none, "f2"))
    assert published.rows() == expected(table)
    assert len(published.rows("runs")) == 2
    assert ("those of an earlier run stay" in caplog.text) == (disposition == "replace_partitions")


def test_other_columns_are_not_appended(spec, table, published, tmp_path):
    spec = dataclasses.replace(spec, write_disposition="append")
    other = make_table(tmp_path / "other")
    for part in other.parts:
        pq.write_table(
            pq.read_table(part.store.path(part.file), partitioning=None).drop_columns("carrier_aa"), part.store.path(part.file)
        )
    with spec.connection.open() as clients:
        Publication(spec, clients).publish([table], make_run(table))
        with pytest.raises(DataError, match="carrier_aa_2"):
            Publication(spec, clients).publish([other], make_run(other, "f2"))
        for part in other.parts:
            rows = pq.read_table(part.store.path(part.file), partitioning=None)
            pq.write_table(rows.append_column("carrier_aa", rows["row_number"].cast(pa.string())), part.store.path(part.file))
        with pytest.raises(DataError, match="carrier_aa_2 is FLOAT64 there and STRING here"):
            Publication(spec, clients).publish([dataclasses.replace(other)], make_run(other, "f3"))
    assert published.rows() == expected(table)


UNAVAILABLE = Broken(grpc.StatusCode.UNAVAILABLE)


@pytest.mark.parametrize("after", [0, 1, 2])
def test_an_append_that_breaks_goes_on_where_it_was_acknowledged(spec, table, published, after, monkeypatch):
    monkeypatch.setattr(append_module, "REQUEST_BYTES", 2_000)
    monkeypatch.setattr(append_module.append_rows, "__kwdefaults__", {"streams": 2, "request_bytes": 2_000})
    spec = dataclasses.replace(spec, method="storage_write")
    faults = Faults()
    faults.broken["AppendRows"] = [(after, UNAVAILABLE), (after, UNAVAILABLE)]
    faults.broken["CreateWriteStream"] = [(0, Broken(grpc.StatusCode.RESOURCE_EXHAUSTED))]
    faults.broken["BatchCommitWriteStreams"] = [(0, UNAVAILABLE)]
    with open_with(spec, HttpFaults(), faults) as clients:
        Publication(spec, clients).publish([table], make_run(table))
    assert published.rows() == expected(table)
    [commit, _] = faults.requests["BatchCommitWriteStreams"]
    assert len(commit.write_streams) == 4
    assert all("offset" in request for request in faults.requests["AppendRows"])
    assert len(faults.requests["AppendRows"]) > 12


def test_appending_gives_up(spec, table, published):
    spec = dataclasses.replace(spec, method="storage_write")
    faults = Faults()
    faults.broken["AppendRows"] = [(0, UNAVAILABLE)] * 50
    with open_with(spec, HttpFaults(), faults) as clients, pytest.raises(TransientError, match="Appending table"):
        Publication(spec, clients).publish([table], make_run(table))
    assert not any(name in ("features", "runs") for name in published.tables())
