"""The sink of files: what a published result consists of."""

from __future__ import annotations

from types import SimpleNamespace

import pyarrow as pa
import pytest

from emberharmony.io.sinks.parquet.publish import ParquetSink
from emberharmony.io.sinks.parquet.spec import ParquetSinkSpec

SINK = ParquetSink(ParquetSinkSpec("out"))


@pytest.mark.parametrize(
    ("holds_rows", "strides", "folders"),
    [(True, {"1": None}, ["features", "windows"]), (True, {}, ["features"]), (False, {"1": None}, [])],
)
def test_outputs(holds_rows, strides, folders):
    manifest = SimpleNamespace(holds_rows=holds_rows, strides=strides, root="")
    assert SINK.outputs(manifest) == tuple(f"out/{name}" for name in [*folders, "state", "manifest.json"])


def test_outputs_in_a_bucket_are_those_of_the_version():
    sink = ParquetSink(ParquetSinkSpec("s3://lake/out?region=eu-west-1"))
    manifest = SimpleNamespace(holds_rows=True, strides={}, root=".versions/a")
    folders = ("s3://lake/out/.versions/a/features", "s3://lake/out/.versions/a/state")
    assert sink.outputs(manifest) == (*folders, "s3://lake/out/manifest.json")


def test_columns_and_values_of_every_type_are_taken():
    rows = pa.table({"d": pa.array([1], pa.duration("s")), "m": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8()))})
    SINK.check_columns(rows.schema, ["d", "m"])
    SINK.check_values(rows, ["d", "m"])
    assert not SINK.accumulates(None)


def test_the_number_of_earlier_results_to_keep():
    assert SINK.keep_versions == 1
    assert ParquetSink(ParquetSinkSpec("out", keep_versions=0)).keep_versions == 0
    with pytest.raises(ValueError, match="`keep_versions` is at least 0, got -1"):
        ParquetSinkSpec("out", keep_versions=-1)
