"""Columns in folders' names, against what pyarrow's own datasets read."""

import os
import shutil
import sys

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import DataError
from emberharmony.io.sources.parquet.folders import columns_of_folders, folders_of
from emberharmony.io.sources.parquet.local_files import LocalFile
from emberharmony.io.sources.parquet.source import ParquetSource
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.pipeline.execute import run_job
from emberharmony.planning.chunks import Chunk
from flows.config.job import ApplyJob, parse_job
from flows.engines.local import LocalEngine
from tests.jobs import run_small, small_table, write_table


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
    files = [LocalFile(f"t/k={value}/a.parquet", (f"k={value}",)) for value in values]
    assert columns_of_folders(files)["k"].to_pylist() == expected


def test_what_is_escaped_is_unescaped_after_it_is_split(tmp_path):
    (tmp_path / "t/a%3Db=1%2F2").mkdir(parents=True)
    pq.write_table(pa.table({"x": [1.0]}), tmp_path / "t/a%3Db=1%2F2/p.parquet")
    expected = ds.dataset(tmp_path / "t", partitioning="hive").to_table()
    source = ParquetSource(ParquetSourceSpec(str(tmp_path / "t")))
    assert source.describe().schema.names == expected.column_names == ["x", "a=b"]
    assert source.read(Chunk(0, 0, 1), ["a=b"], time=None)["a=b"].to_pylist() == ["1/2"]


@pytest.mark.parametrize(
    "place", ["", "city=Rome", "city=Rome/year=2023", "city=Rome/year=2023/*.parquet", "city=Rome/*/p0.parquet"]
)
def test_the_columns_do_not_depend_on_what_is_named(folder, place):
    rows = ParquetSource(ParquetSourceSpec(str(folder / place)))
    n_rows = rows.describe().n_rows
    read = rows.read(Chunk(0, 0, n_rows), ["city", "year"], time=None)
    assert ("Rome", 2023) in set(zip(read["city"].to_pylist(), read["year"].to_pylist(), strict=True))


@pytest.mark.parametrize("folder", ["k=1", "x/k=1", "k=0/x/k=1"])
def test_a_file_has_the_columns_of_the_folders_right_above_it(folder):
    assert folders_of(folder.split("/"), []) == folders_of(["t"], folder.split("/"))[-1:] == ("k=1",)
    assert folders_of(["k=1", "x"], []) == ()


def test_a_state_is_applied_to_one_day(tmp_path):
    """Fitted on all days, whose names are texts; applied to a folder, and a file, whose own name looks like a number."""
    for day in ("1", "2", "rest"):
        (tmp_path / f"in/day={day}").mkdir(parents=True)
        table = small_table(120, seed=len(day)).append_column("x", pa.array(range(120)))
        pq.write_table(table.drop_columns("name"), tmp_path / f"in/day={day}/a.parquet")
    job = {"columns": {"categorical": []}, "windows": {"strides": []}}
    fitted = run_small(tmp_path / "in", tmp_path / "out", **job)
    assert {"day_1", "day_2", "day_rest"} <= set(fitted.feature_names)
    for place in ("in/day=2", "in/day=2/a.parquet"):
        shutil.rmtree(tmp_path / "applied", ignore_errors=True)
        places = {"source": {"path": str(tmp_path / place)}, "sink": {"path": str(tmp_path / "applied")}}
        applied = parse_job(places | {"state": str(tmp_path / "out"), "runtime": {"engine": "local"}}, model=ApplyJob)
        run_job(applied, LocalEngine(1))
        rows = pq.read_table(tmp_path / "applied/features/split=apply/part-00000.parquet", partitioning=None)
        assert (set(rows["day_2"].to_pylist()), set(rows["day_1"].to_pylist())) == ({1.0}, {0.0})


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other file systems know no such names")
def test_names_that_are_no_utf_8(tmp_path):
    """A file may have one, of which no column is made; a folder that is a value may not."""
    (tmp_path / "table").mkdir()
    file = tmp_path / "table" / os.fsdecode(b"\x80.parquet")
    write_table(small_table(200), tmp_path / "a.parquet").rename(file)
    run_small(tmp_path / "table", tmp_path / "out")
    folder = tmp_path / "hive" / os.fsdecode(b"k=\x80")
    folder.mkdir(parents=True)
    file.rename(folder / "a.parquet")
    with pytest.raises(DataError, match=r"The name of the folder 'k=\\udc80' in .* is not in UTF-8"):
        run_small(tmp_path / "hive", tmp_path / "out")
