"""The demo's table is what its docstring and the published description of the flights say."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import DataError
from flows.flights import N_FLIGHTS, ROW_GROUP_ROWS, prepare_flights


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return prepare_flights(tmp_path_factory.mktemp("data") / "new" / "flights.parquet")


def test_all_flights_in_file_order(path):
    table = pq.read_table(path)
    assert len(table) == N_FLIGHTS
    steps = np.diff(table["time_hour"].cast(pa.int64()).to_numpy())
    assert (steps < 0).sum() == 54_795
    first = table.slice(0, 1).to_pylist()[0]
    assert (first["tailnum"], first["sched_dep_time"], first["arr_delay"]) == ("N14228", 515, 11)
    assert first["time_hour"].isoformat() == "2013-01-01T10:00:00+00:00"  # five in the morning in New York
    assert table["tailnum"].to_pandas().nunique() == 4_043


def test_types_and_nulls(path):
    table = pq.read_table(path)
    assert table.schema.field("time_hour").type == pa.timestamp("us", tz="UTC")
    assert table.schema.field("overnight").type == pa.bool_()
    assert table.schema.field("arr_delay").type == pa.int64()
    strings = {field.name for field in table.schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)}
    assert strings == {"carrier", "tailnum", "origin", "dest"}
    # 9,430 flights never arrived, as R's nycflights13 says too.
    assert table["arr_delay"].null_count == 9_430
    assert table["tailnum"].null_count == 2_512
    assert table["temp"].null_count == 1_573
    assert table["speed"].null_count > 0.9 * N_FLIGHTS


def test_row_groups(path):
    file = pq.ParquetFile(path)
    assert max(file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)) == ROW_GROUP_ROWS


def test_is_made_once(path):
    written = path.stat().st_mtime_ns
    prepare_flights(path)
    assert path.stat().st_mtime_ns == written


def test_a_file_that_is_not_the_demos_is_refused_and_stays(path, tmp_path):
    mine = pa.table({"x": [1]})
    others = {"cut off": path.read_bytes()[:1000], "empty": b"", "a table": pa.BufferOutputStream()}
    pq.write_table(mine, others["a table"])
    others["a table"] = others["a table"].getvalue().to_pybytes()
    for content in others.values():
        (tmp_path / "flights.parquet").write_bytes(content)
        with pytest.raises(DataError, match="is there already and is not the demo's table"):
            prepare_flights(tmp_path / "flights.parquet")
        assert (tmp_path / "flights.parquet").read_bytes() == content
    assert [entry.name for entry in tmp_path.iterdir()] == ["flights.parquet"]


@pytest.mark.parametrize("address", ["gs://lake/flights.parquet", "S3://lake/flights.parquet"])
def test_a_bucket_is_no_folder_for_the_demo(tmp_path, monkeypatch, address):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"is written to a disk, and (gs|S3):// is a bucket"):
        prepare_flights(Path(address))
    assert not [*tmp_path.iterdir()]
