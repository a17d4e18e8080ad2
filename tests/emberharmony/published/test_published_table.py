"""A table is the same, whoever reads it: as the files' own readers find it in their folder."""

from __future__ import annotations

import gc
import pickle
import subprocess
import sys

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal

from emberharmony import open_result
from emberharmony.errors import DataError, MissingLibraryError, PlanError
from tests.published import publish

TABLES = {
    "features": lambda result: result.features(),
    "features/split=test": lambda result: result.features("test"),
    "windows/stride=3": lambda result: result.windows(stride=3),
    "windows/stride=1/split=train": lambda result: result.windows(stride=1, split="train"),
}


def expected(folder, name) -> pa.Table:
    """The rows of a folder as pyarrow finds them: splits by name of their folder, parts by number."""
    top, *partitions = name.split("/")
    table = ds.dataset(folder / top, partitioning="hive").to_table()
    for partition in partitions:
        column, _, value = partition.partition("=")
        table = table.filter(pa.compute.equal(table[column].cast(pa.string()), value))
    return table


@pytest.fixture(params=TABLES)
def case(request, result, folder):
    return TABLES[request.param](result), expected(folder, request.param)


def in_one_order(table: pa.Table) -> pa.Table:
    key = "row_number" if "row_number" in table.column_names else "first_row"
    return table.sort_by(key).select(sorted(table.column_names)).combine_chunks()


def test_arrow(case):
    table, reference = case
    actual = table.to_arrow()
    assert actual.schema.names[-1] == "split"
    assert actual.num_rows == reference.num_rows > 0
    # Columns of windows of other strides are null in the reference, which reads all strides as one table.
    reference = reference.select([name for name in reference.column_names if name in actual.column_names])
    assert in_one_order(actual).equals(in_one_order(reference.cast(actual.select(reference.column_names).schema)))


def test_pandas(case):
    table, _ = case
    frame, folders = table.to_pandas(), [name for name in ("stride", "split") if name in table.schema.names]
    assert {*frame[folders].dtypes.astype(str)} == {"category"}
    values = {name: dtype for name, dtype in table.to_arrow().to_pandas().dtypes.items() if name in folders}
    assert_frame_equal(frame.astype(values), table.to_arrow().to_pandas())


def test_pandas_finds_what_it_reads_itself(result, folder):
    by_number = {"by": "row_number", "ignore_index": True}
    actual, reference = result.features().to_pandas(), pd.read_parquet(folder / "features")
    assert [*actual.columns] == [*reference.columns]
    assert_frame_equal(actual.sort_values(**by_number), reference.sort_values(**by_number), check_categorical=False)


def test_polars(case):
    table, _ = case
    frame = table.to_polars()
    assert isinstance(frame, pl.LazyFrame)
    assert frame.collect().to_arrow().cast(table.schema).equals(table.to_arrow())


def test_duckdb(case):
    table, _ = case
    relation = table.to_duckdb()
    gc.collect()
    found = relation.to_arrow_table()
    assert in_one_order(found.cast(table.schema)).equals(in_one_order(table.to_arrow()))


def test_duckdb_on_a_connection_of_ones_own(result):
    with duckdb.connect() as connection:
        result.features("test").to_duckdb(connection).create_view("features")
        ((count,),) = connection.sql("select count(*) from features where split = 'test'").fetchall()
    assert count == result.manifest.rows["test"]


def test_batches(case):
    table, _ = case
    batches = [*table.to_batches(batch_rows=17)]
    assert max(map(len, batches)) <= 17
    assert pa.Table.from_batches(batches).equals(table.to_arrow())


@pytest.mark.xdist_group("stores")
@pytest.mark.parametrize("name", TABLES)
def test_a_bucket_gives_the_same_tables(result, in_a_bucket, name):
    here, there = TABLES[name](result), TABLES[name](in_a_bucket)
    expected = here.to_arrow()
    assert there.to_arrow().equals(expected)
    assert pa.Table.from_batches(there.to_batches(batch_rows=17)).equals(expected)
    assert_frame_equal(there.to_pandas(), here.to_pandas())
    assert there.to_polars().collect().equals(here.to_polars().collect())
    assert in_one_order(there.to_duckdb().to_arrow_table().cast(here.schema)).equals(in_one_order(expected))
    assert pickle.loads(pickle.dumps(there.dataset())).to_table().equals(expected)
    assert in_a_bucket.state == result.state


def test_rows_are_in_the_order_of_the_job(result, folder):
    for split in ("train", "validation", "test"):
        parts = sorted((folder / f"features/split={split}").glob("*"))
        numbers = pa.concat_tables(pq.ParquetFile(part).read(["row_number"]) for part in parts)
        assert result.features(split).to_arrow(["row_number"]).equals(numbers.replace_schema_metadata())
        assert result.features().dataset().filter(ds.field("split") == split).to_table(["row_number"]).equals(numbers)


@pytest.mark.parametrize("read", ["to_arrow", "to_pandas", "to_batches"])
def test_only_the_columns_that_are_asked_for(result, read):
    found = getattr(result.features(), read)(["split", "y"])
    columns = found.column_names if read == "to_arrow" else found.columns if read == "to_pandas" else next(found).schema.names
    assert [*columns] == ["split", "y"]
    assert sum(map(len, result.features().to_batches(["split"]))) == sum(result.manifest.rows.values())


@pytest.mark.parametrize("read", ["to_arrow", "to_pandas", "to_batches"])
def test_a_column_that_is_not_there(result, read):
    with pytest.raises(PlanError, match=r"has no column 'row_numbr'\. Did you mean 'row_number'"):
        [*getattr(result.features(), read)(["row_numbr"])]


def test_a_split_is_found_without_reading_the_others(result, monkeypatch):
    opened = []
    original = type(result.snapshot).open
    monkeypatch.setattr(type(result.snapshot), "open", lambda self, file: opened.append(file.name) or original(self, file))
    dataset = result.features().dataset()
    assert dataset.to_table(filter=ds.field("split") == "test").num_rows == result.manifest.rows["test"]
    assert result.features().to_polars().filter(pl.col("split") == "test").collect().height == result.manifest.rows["test"]
    counted = result.features().to_duckdb().filter("split = 'test'").aggregate("count(*)")
    assert counted.fetchall() == [(result.manifest.rows["test"],)]
    assert {name.split("/")[1] for name in opened if name != result.features().schema_of.name} == {"split=test"}


def test_a_dataset_can_be_sent_elsewhere(result):
    dataset = pickle.loads(pickle.dumps(result.features().dataset()))
    assert dataset.to_table().equals(result.features().to_arrow())


@pytest.mark.parametrize(
    "query", ["next(table.to_batches())", "table.to_polars().head(3).collect()", "table.to_duckdb().limit(3).fetchall()"]
)
def test_a_process_ends_in_the_middle_of_a_table(tmp_path, query):
    rows = pa.table({name: pa.array(np.zeros(40_000, np.float32)) for name in "abcdefgh"})
    publish(tmp_path, {"train": rows}, features=list("abcdefgh"), part_rows=1_000)
    code = f"import emberharmony\ntable = emberharmony.open_result({str(tmp_path)!r}).features()\nkept = {query}"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300, capture_output=True)


@pytest.mark.xdist_group("stores")
def test_a_process_ends_in_the_middle_of_a_table_in_a_bucket(in_a_bucket):
    address = in_a_bucket.snapshot.__reduce__()[1][0]
    code = (
        f"import emberharmony\ntable = emberharmony.open_result({address!r}).features()\ntable.to_polars().head(3).collect()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300, capture_output=True)


def test_memory_does_not_grow_with_the_table(tmp_path):
    values, names = pa.array(np.arange(800_000, dtype=np.float32)), [f"f{i}" for i in range(20)]
    rows = pa.table(dict.fromkeys(names, values))
    publish(tmp_path, {"train": rows}, features=names, part_rows=80_000, group_rows=10_000)
    table, before, most = open_result(tmp_path).features(), pa.total_allocated_bytes(), 0
    for _ in table.to_batches(batch_rows=5_000):
        most = max(most, pa.total_allocated_bytes() - before)
    assert most < rows.nbytes / 4


def test_a_damaged_part_is_named(tmp_path):
    publish(tmp_path, {"train": pa.table({"a": pa.array([1.0, 2.0], pa.float32())})}, features=["a"], part_rows=1)
    table = open_result(tmp_path).features()
    for part in sorted((tmp_path / "features/split=train").iterdir(), reverse=True):
        part.write_bytes(bytes(part.stat().st_size))
        for read in (table.to_arrow, table.to_pandas, lambda: [*table.to_batches()]):
            with pytest.raises(DataError, match=r"is damaged: .*Publish again with --overwrite"):
                read()
    part.unlink()
    with pytest.raises(DataError, match=rf"features/split=train/{part.name} is missing or damaged in version"):
        open_result(tmp_path).features().to_arrow()


@pytest.mark.parametrize("name", ["polars", "duckdb"])
def test_a_library_that_is_not_installed(result, name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingLibraryError, match=f"`to_{name}` needs {name}, which is not installed"):
        getattr(result.features(), f"to_{name}")()
