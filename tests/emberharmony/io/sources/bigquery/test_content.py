"""What identifies the rows of a slice. BigQuery's answers are made up here: the tests' server has no times of partitions."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace

import pyarrow as pa
import pytest

from emberharmony.errors import TerminalError
from emberharmony.io.bigquery.identifiers import TableName
from emberharmony.io.sources.bigquery import content
from emberharmony.io.sources.bigquery.content import PartitionState, content_of, partition_ids, partitions_of
from emberharmony.io.sources.time_rows import TimeRows
from emberharmony.slices import SlicesSpec

TABLE = TableName("my-project", "raw", "events")
NIGHT = SlicesSpec().named("2026-11-28")
ROWS = TimeRows("t", NIGHT.start, NIGHT.stop)
COLUMNS = [pa.field("t", pa.timestamp("us", "UTC")), pa.field("x", pa.float64())]
NOON = dt.datetime(2026, 11, 30, 12, tzinfo=dt.UTC)
BEFORE, AFTER = "2026-11-29T03:00:00.000000+00:00", "2026-11-30T12:00:00.000001+00:00"


def metadata(field="t", kind="DAY", **more):
    by = SimpleNamespace(field=field, type_=kind) if field else None
    return SimpleNamespace(**{"time_partitioning": by, "streaming_buffer": None, "modified": NOON, "num_rows": 9} | more)


def asked(monkeypatch, *partitions):
    """Answer the look-up of partitions; returns the parameters of the queries."""
    seen = []

    def answer(clients, sql, *, doing, parameters):
        seen.append(parameters)
        return pa.table({"partition_id": [p[0] for p in partitions], "total_rows": [p[1] for p in partitions],
                         "modified": [p[2] for p in partitions]})  # fmt: skip

    monkeypatch.setattr(content, "query_table", answer)
    return seen


def test_a_slice_is_identified_by_its_partitions(monkeypatch):
    seen = asked(monkeypatch, ("20261128", 5, BEFORE))
    found = partitions_of(None, TABLE, metadata(), ROWS, COLUMNS)
    assert seen == [{"table": "events", "first": "20261128", "last": "20261128"}]
    assert found == [PartitionState("20261128", 5, BEFORE)]
    identity = content_of(TABLE, metadata(), NOON, found)
    changed_elsewhere = metadata(modified=NOON - dt.timedelta(hours=1), num_rows=12)
    assert content_of(TABLE, changed_elsewhere, NOON + dt.timedelta(days=1), found) == identity
    for other in (PartitionState("20261128", 4, BEFORE), PartitionState("20261128", 5, BEFORE.replace("03", "04", 1))):
        assert content_of(TABLE, metadata(), NOON, [other]) != identity
    assert content_of(TABLE, metadata(), NOON, []) != identity, "of a night without rows"


def test_a_partition_that_changed_after_the_snapshot_says_nothing_about_it():
    found = [PartitionState("20261128", 5, AFTER)]
    assert content_of(TABLE, metadata(), NOON, found) == content_of(TABLE, metadata(), NOON, None)
    assert content_of(TABLE, metadata(), NOON, None) == f"{TABLE} of {NOON.isoformat()}, 9 rows"


@pytest.mark.parametrize(
    "table", [metadata(None), metadata("loaded"), metadata(streaming_buffer=object())], ids=["none", "other", "streamed"]
)
def test_other_tables_are_identified_as_a_whole(monkeypatch, table):
    seen = asked(monkeypatch)
    assert partitions_of(None, TABLE, table, ROWS, COLUMNS) is None
    assert seen == []


def test_partitions_that_may_not_be_looked_up(monkeypatch):
    def refuse(*args, **options):
        raise TerminalError("bigquery.tables.list is missing")

    monkeypatch.setattr(content, "query_table", refuse)
    assert partitions_of(None, TABLE, metadata(), ROWS, COLUMNS) is None


@pytest.mark.parametrize(
    ("granularity", "ids"),
    [
        ("HOUR", ("2026112800", "2026112823")),
        ("DAY", ("20261128", "20261128")),
        ("MONTH", ("202611", "202611")),
        ("YEAR", ("2026", "2026")),
    ],
)
def test_ids_of_partitions(granularity, ids):
    assert partition_ids(ROWS, pa.timestamp("us", "UTC"), granularity) == ids
