"""What is published beside what is there: dispositions, slices, exact values, other columns, and appends that break."""

from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal

import grpc
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.cloud.bigquery import SchemaField, Table, TimePartitioning

from emberharmony.errors import DataError, PlanError, TransientError
from emberharmony.io.sinks.bigquery import append as append_module
from emberharmony.io.sinks.bigquery.publication import Publication
from emberharmony.io.sinks.bigquery.tables import OutputTable, Part
from emberharmony.io.store.local import LocalStore
from tests.integration.bigquery_faults import Broken, Faults
from tests.integration.bigquery_tables import (
    METHODS,
    HttpFaults,
    expected,
    make_run,
    make_table,
    open_with,
)

pytestmark = pytest.mark.xdist_group("bigquery-sink")


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
        clients.jobs.query_and_wait(f"INSERT INTO `{dataset}.features` (row_number, split) VALUES (-1, 'train')")
        clients.jobs.query_and_wait(f"INSERT INTO `{dataset}.runs` (fingerprint) VALUES ('f0')")
        Publication(spec, clients).publish([table], dataclasses.replace(make_run(table, "f2"), drift={"x": {"psi": 0.5}}))
        runs = clients.jobs.query_and_wait(f"SELECT fingerprint, run_id, drift FROM `{dataset}.runs` ORDER BY fingerprint")
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
