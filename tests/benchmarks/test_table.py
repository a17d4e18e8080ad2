"""The benchmarks' tables: the same rows in any order and in any number of files."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.series import places_by
from benchmarks.table import SCHEMA, rearrange, shuffle, write_files, write_numbers, write_table


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("table") / "t.parquet", n_rows=1_000)


def test_a_longer_table_begins_with_a_shorter_one(table, tmp_path):
    shorter = pq.read_table(write_table(tmp_path / "t.parquet", n_rows=300))
    assert shorter.schema == SCHEMA
    assert shorter.equals(pq.read_table(table).slice(0, 300))


@pytest.mark.parametrize("n_files", [1, 3, 10, 200])
def test_files_hold_the_rows_in_their_order(table, tmp_path, n_files):
    folder = write_files(table, tmp_path, n_files=n_files)
    files = sorted(folder.rglob("*.parquet"))
    assert len(files) == n_files
    assert max(pq.read_metadata(file).num_rows for file in files) == -(-1_000 // n_files)
    assert pa.concat_tables(pq.ParquetFile(file).read() for file in files).equals(pq.read_table(table))
    assert "=" not in str(files[0].relative_to(folder))


def test_shuffled_rows_are_the_same_rows(table, tmp_path):
    shuffled = pq.read_table(shuffle(table, tmp_path / "s.parquet", n_rows=1_000))
    original = pq.read_table(table)
    assert not shuffled.equals(original)
    assert shuffled.sort_by("time").equals(original.sort_by("time"))


def test_series_follow_one_another(table, tmp_path):
    entities = np.arange(1_000) % 7
    path = rearrange(table, tmp_path / "e.parquet", places_by(entities), entity=lambda numbers: numbers % 7)
    rows, original = pq.read_table(path), pq.read_table(table)
    assert rows["entity"].to_pylist() == sorted(map(str, entities))
    assert rows["time"].to_pylist() == [original["time"][int(i)].as_py() for i in np.argsort(entities, kind="stable")]


def test_numbers_have_as_many_columns_as_asked(tmp_path):
    rows = pq.read_table(write_numbers(tmp_path / "n.parquet", n_rows=50, n_columns=3))
    assert rows.column_names == ["time", "x0", "x1", "x2"]
    assert rows.num_rows == 50
    assert len(set(rows["time"].to_pylist())) == 50
