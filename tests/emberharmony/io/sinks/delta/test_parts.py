"""What Delta's log says of a part: its footer's statistics, by which readers skip files."""

from __future__ import annotations

import datetime as dt
import json

import pyarrow as pa
import pyarrow.parquet as pq

from emberharmony.io.sinks.delta.parts import read_parts, statistics_of
from emberharmony.io.store.local import LocalStore


def statistics(table, **options):
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    footer = pq.read_metadata(pa.BufferReader(sink.getvalue()))
    return statistics_of(footer, footer.schema.to_arrow_schema())


def test_bounds_and_nulls_are_those_of_the_columns():
    time = dt.datetime(2026, 1, 1, 1, 2, 3, 4, tzinfo=dt.UTC)
    rows = pa.table(
        {
            "n": [3, None, -1],
            "a.b": ["é", "b", None],
            "t": pa.array([time, None, dt.datetime(1, 1, 1, tzinfo=dt.UTC)], pa.timestamp("us", "UTC")),
            "local": pa.array([time.replace(tzinfo=None)] * 3, pa.timestamp("us")),
            "day": [dt.date(2026, 1, 1), dt.date(2025, 1, 1), None],
            "none": pa.nulls(3, pa.int64()),
            "x": [1.0, float("nan"), 2.0],
            "flag": [True, False, None],
            "nested": [{"a": 1}, None, {"a": 2}],
        }
    )
    assert statistics(rows, row_group_size=2) == {
        "numRecords": 3,
        "minValues": {
            "n": -1,
            "a.b": "b",
            "t": "0001-01-01T00:00:00.000000Z",
            "local": "2026-01-01T01:02:03.000004",
            "day": "2025-01-01",
        },
        "maxValues": {
            "n": 3,
            "a.b": "é",
            "t": "2026-01-01T01:02:03.000004Z",
            "local": "2026-01-01T01:02:03.000004",
            "day": "2026-01-01",
        },
        "nullCount": {"n": 1, "a.b": 1, "t": 1, "local": 0, "day": 1, "none": 3, "x": 0, "flag": 1},
    }


def test_bounds_that_json_cannot_hold_are_left_out():
    rows = pa.table({"long": ["x" * 300], "far": pa.array([2**62], pa.timestamp("us")), "n": [1]})
    found = statistics(rows)
    assert (found["minValues"], found["nullCount"]) == ({"n": 1}, {"long": 0, "far": 0, "n": 0})


def test_columns_without_statistics_are_left_out():
    found = statistics(pa.table({"n": [1, 2], "x": [1.0, 2.0]}), write_statistics=["n"])
    assert found == {"numRecords": 2, "minValues": {"n": 1}, "maxValues": {"n": 2}, "nullCount": {"n": 0}}


def test_a_part_without_rows_has_no_bounds():
    assert statistics(pa.table({"n": pa.array([], pa.int64())}))["numRecords"] == 0
    assert statistics(pa.table({"n": pa.array([], pa.int64())}))["minValues"] == {}


def test_actions_register_files_as_they_are(tmp_path):
    store = LocalStore(tmp_path)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"n": [1, 2]}), sink)
    record = store.keep("features/split=train/part-0.parquet", sink.getvalue().to_pybytes())
    (part,) = read_parts(store, [record], ["split=train/part-0.parquet"], [{"split": "train"}])
    action = part.add_action()
    assert (action.path, action.size, action.partition_values) == (
        "split=train/part-0.parquet",
        record.n_bytes,
        {"split": "train"},
    )
    assert action.data_change
    assert json.loads(action.stats)["numRecords"] == 2
    assert part.schema == pa.schema([("n", pa.int64())])
