"""A sink that adds nothing to its base: whatever is given to it is published as it is."""

from __future__ import annotations

import pyarrow as pa

from emberharmony.io.sinks.base_sink import BaseSink
from emberharmony.io.sinks.parquet.spec import ParquetSinkSpec
from emberharmony.io.store.local import LocalStore

SINK = BaseSink(ParquetSinkSpec("out", keep_versions=3))


def test_rows_and_stores_stay_as_they_are(tmp_path):
    rows, run = pa.table({"m": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8()))}), LocalStore(tmp_path)
    SINK.check_columns(rows.schema, ["m"])
    SINK.check_values(rows, ["m"])
    SINK.check_features(["a", "A"], ["m"])
    assert SINK.as_written(rows) is rows
    assert SINK.as_part(rows, split="train", run_id="r") is rows
    assert SINK.staged(run) is run


def test_the_store_does_all_the_work(tmp_path):
    SINK.check_credentials()
    SINK.check()
    SINK.check_published(LocalStore(tmp_path), None)
    SINK.publish(LocalStore(tmp_path), None, state="state")
    assert (SINK.keep_versions, SINK.own_folders, SINK.accumulates(LocalStore(tmp_path))) == (3, (), False)
    assert not [*tmp_path.iterdir()]
