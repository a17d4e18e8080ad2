"""Columns in folders' names, against what pyarrow's own datasets read."""

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from emberharmony.io.folders import columns_of_folders
from emberharmony.io.parquet import ParquetSource, ParquetSourceSpec
from emberharmony.planning.chunks import Chunk
from tests.jobs import run_small, small_table


@pytest.fixture
def folder(tmp_path):
    table = small_table(400, order="sorted")
    cities = pa.array(["São Paulo" if i < 200 else "Rome" for i in range(400)])
    table = table.append_column("city", cities).append_column("year", pa.array([2020 + i // 100 for i in range(400)]))
    pq.write_to_dataset(table, tmp_path / "t", partition_cols=["city", "year"], basename_template="p{i}.parquet")
    return tmp_path / "t"


@pytest.mark.parametrize("pattern", ["", "*/*/*.parquet"])
def test_folders_are_columns_as_pyarrow_reads_them(folder, pattern):
    source = ParquetSource(ParquetSourceSpec(str(folder / pattern)))
    info = source.describe()
    expected = ds.dataset(folder, partitioning="hive").to_table().sort_by("t")
    assert info.schema.names == expected.column_names
    assert info.bytes_per_row.keys() == set(info.schema.names)
    rows = source.read(Chunk(0, 0, 400), info.schema.names, time=None).sort_by("t")
    assert rows["city"].to_pylist() == expected["city"].to_pylist()
    assert rows["year"].to_pylist() == expected["year"].to_pylist()
    assert source.read(Chunk(0, 150, 100), ["year"], time=None).num_rows == 100


def test_a_job_makes_features_of_them(folder, tmp_path):
    published = run_small(folder, tmp_path / "out", columns={"time": "t", "drop": ["name"]}, runtime={"chunk_rows": 90})
    assert {"city_S_o_Paulo", "city_Rome", "year"} <= set(published.feature_names)
    train = published.features["train"]
    assert train["city_S_o_Paulo"].to_pylist() == [1.0] * 200 + [0.0] * 120


def test_the_value_decides_the_table(folder):
    before = ParquetSource(ParquetSourceSpec(str(folder))).describe().identity
    (folder / "city=Rome").rename(folder / "city=Roma")
    assert ParquetSource(ParquetSourceSpec(str(folder))).describe().identity != before


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "-2"], [1, -2]),
        (["007", "8"], ["007", "8"]),
        (["1", "x"], ["1", "x"]),
        (["1", "__HIVE_DEFAULT_PARTITION__"], [1, None]),
        (["-", "1"], ["-", "1"]),
        (["9" * 30, "1"], ["9" * 30, "1"]),
        (["a%20b", "c"], ["a b", "c"]),
    ],
)
def test_values(values, expected):
    files = [Path("t") / f"k={value}" / "a.parquet" for value in values]
    assert columns_of_folders(files, Path("t"))["k"].to_pylist() == expected


def test_a_file_by_itself_and_a_folder_above_give_none():
    assert columns_of_folders([Path("k=1/a.parquet")], Path("k=1/a.parquet")) == {}
    assert columns_of_folders([Path("k=1/a.parquet")], Path("k=1")) == {}
