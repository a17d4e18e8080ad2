"""Rows of Parquet files: as they lie, also in batches; files that are damaged, changed or gone since the plan."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.errors import DataError
from emberharmony.io.sources.parquet import read
from emberharmony.io.sources.parquet.kept_footers import PackedFooter
from emberharmony.io.sources.parquet.read import RowsOfFile
from emberharmony.planning.chunks import cut_rows
from tests.jobs import parquet_source, small_table, write_table


@given(n_rows=st.integers(1, 90), group_rows=st.integers(1, 90), chunk_rows=st.integers(1, 90), batch=st.integers(1, 50))
def test_source_order(tmp_path_factory, n_rows, group_rows, chunk_rows, batch):
    """Without a time rows stay where they are, also where a group is read in batches."""
    table = small_table(n_rows)
    reader = parquet_source(write_table(table, tmp_path_factory.mktemp("parquet") / "t.parquet", group_rows=group_rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("emberharmony.io.sources.parquet.read._MIN_BATCH_ROWS", batch)
        patch.setattr("emberharmony.io.sources.parquet.read._MAX_BATCH_ROWS", batch)
        for chunk in cut_rows(reader.row_groups(None), chunk_rows):
            got = reader.read(chunk, ["name"], time=None)
            rows = range(chunk.first_row, chunk.first_row + chunk.n_rows)
            assert got["row_number"].to_pylist() == list(rows)
            assert got["name"].to_pylist() == [f"row {i}" for i in rows]


@pytest.mark.parametrize(("joined_bytes", "least", "most"), [(0, 60, 60), (4_000, 5, 20), (2**21, 1, 1)])
def test_small_pieces_are_joined(tmp_path, monkeypatch, joined_bytes, least, most):
    """Texts, dictionaries that differ, and nulls among them; pieces that are large enough stay as they are."""
    monkeypatch.setattr("emberharmony.io.sources.parquet.read._JOINED_BYTES", joined_bytes)
    table = small_table(300, order="sorted")
    codes = pa.array([None if i % 7 == 0 else f"code {i // 30}" for i in range(300)]).dictionary_encode()
    table = table.append_column("code", codes)
    for i in range(30):
        write_table(table.slice(10 * i, 10), tmp_path / f"{i:02}.parquet", group_rows=5)
    reader = parquet_source(tmp_path)
    (chunk,) = cut_rows(reader.row_groups(None), 1_000)
    names = reader.describe().schema.names
    got = reader.read(chunk, names, time=None)
    assert "code" in names
    assert got.select(names).to_pylist() == table.select(names).to_pylist()
    assert got["row_number"].to_pylist() == [*range(300)]
    (n_pieces,) = {column.num_chunks for column in got.columns}
    assert least <= n_pieces <= most


def many_files(folder, n_files=40, **columns):
    for i in range(n_files):
        rows = small_table(10, order="sorted")
        for name, values in columns.items():
            rows = rows.append_column(name, values(i))
        write_table(rows, folder / f"{i:02}.parquet")
    reader = parquet_source(folder)
    (chunk,) = cut_rows(reader.row_groups(None), 1_000)
    return reader, chunk


def test_columns_of_files_that_follow_one_another_are_made_together(tmp_path, monkeypatch):
    reader, chunk = many_files(tmp_path)
    made, table = [], RowsOfFile.table

    def counted(self, rows, parts):
        made.append(rows.num_rows)
        return table(self, rows, parts)

    monkeypatch.setattr(RowsOfFile, "table", counted)
    assert reader.read(chunk, ["name"], time=None)["row_number"].to_pylist() == [*range(400)]
    assert made == [400]


def test_times_are_read_on_several_threads_and_come_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(read, "_TIMES_AT_ONCE", 25)
    monkeypatch.setattr(read, "_JOINED_BYTES", 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    threads, read_groups = set[int](), read.read_groups

    def noted(source, groups, columns):
        threads.add(threading.get_ident())
        return read_groups(source, groups, columns)

    monkeypatch.setattr(read, "read_groups", noted)
    times = [None if i % 7 == 0 else i for i in range(200)]
    table = pa.table({"t": pa.array(times, pa.timestamp("us"))})
    source = parquet_source(write_table(table, tmp_path / "t.parquet", group_rows=10))
    found = list(read.times_of_groups(source._table, source._table.groups, "t"))
    assert [it.tolist() for it, _ in found] == [[t for t in times[i : i + 10] if t is not None] for i in range(0, 200, 10)]
    assert [n for _, n in found] == [times[i : i + 10].count(None) for i in range(0, 200, 10)]
    assert len(threads) > 1
    assert threading.get_ident() not in threads


def test_a_value_is_looked_for_in_few_files_at_a_time(tmp_path, monkeypatch):
    reader, _ = many_files(tmp_path)
    opened, open_file = [], read._opened
    monkeypatch.setattr(read, "_MIN_BATCH_ROWS", 20)
    monkeypatch.setattr(read, "_opened", lambda file, handle: opened.append(file) or open_file(file, handle))
    assert read.has_value(reader._table, reader._table.groups, "name")
    assert 1 <= len(opened) <= 3


@pytest.mark.parametrize("types", [(pa.int64(), pa.int64()), (pa.int16(), pa.int64())], ids=["one type", "two types"])
def test_files_in_folders_that_are_columns(tmp_path, monkeypatch, types):
    """They are made together if they hold the same columns; those of folders differ."""
    places = ["k=1", "k=1", "k=2", "k=__HIVE_DEFAULT_PARTITION__", "k=2"]
    for i, place in enumerate(places):
        rows = small_table(10 + i).append_column("n", pa.array([i] * (10 + i), types[i // 3]))
        (tmp_path / str(i) / place).mkdir(parents=True)
        write_table(rows, tmp_path / str(i) / place / "t.parquet")
    reader = parquet_source(tmp_path)
    (chunk,) = cut_rows(reader.row_groups(None), 1_000)
    made, table = [], RowsOfFile.table
    monkeypatch.setattr(RowsOfFile, "table", lambda self, rows, parts: made.append(parts) or table(self, rows, parts))
    got = reader.read(chunk, ["k", "n", "name"], time=None)
    assert got["k"].to_pylist() == [1] * 21 + [2] * 12 + [None] * 13 + [2] * 14
    assert got["n"].to_pylist() == [i for i in range(5) for _ in range(10 + i)]
    assert got["name"].to_pylist() == [f"row {j}" for i in range(5) for j in range(10 + i)]
    together = [[0, 1, 2, 3, 4]] if types[0] == types[1] else [[0, 1, 2], [3, 4]]
    assert [[file for file, _ in parts] for parts in made] == together


@pytest.mark.parametrize("wrong", [0, 23, 39])
def test_an_error_names_the_one_of_many_files_that_it_is_about(tmp_path, wrong):
    def bytes_of(i):
        values = pa.array([b"\xff" if i == wrong else b"fine"] * 10, pa.binary())
        return pa.Array.from_buffers(pa.string(), 10, values.buffers())

    reader, chunk = many_files(tmp_path, text=bytes_of)
    with pytest.raises(DataError, match=rf"'text' of .*/{wrong:02}\.parquet holds a string that is not UTF-8"):
        reader.read(chunk, ["text"], time=None)


@pytest.mark.parametrize("largest", [0, 2**18], ids=["in parts", "as a whole"])
def test_small_files_are_read_as_a_whole(tmp_path, monkeypatch, largest):
    """Their footers, which planning has read, are not decoded apart."""
    reader, chunk = many_files(tmp_path)
    expected, decoded = reader.read(chunk, ["name", "walk"], time=None), []
    monkeypatch.setattr("emberharmony.io.sources.parquet.read._WHOLE_BYTES", largest)
    monkeypatch.setattr(PackedFooter, "decoded", property(lambda self: decoded.append(self) or _metadata_of(self)))
    assert reader.read(chunk, ["name", "walk"], time=None) == expected
    assert len(decoded) == (0 if largest else 40)


def _metadata_of(footer):
    return pq.read_metadata(pa.BufferReader(footer.unpacked()))


def test_a_file_changed_after_the_plan(tmp_path):
    path = write_table(small_table(30), tmp_path / "t.parquet")
    reader = parquet_source(path)
    (chunk,) = cut_rows(reader.row_groups(None), 100)
    os.utime(path, ns=(1, 1))
    with pytest.raises(DataError, match="was changed after the job was planned"):
        reader.read(chunk, ["walk"], time=None)


@pytest.mark.parametrize("away", [Path.unlink, lambda path: path.rename(path.with_suffix(".gone"))])
def test_a_file_that_is_gone_after_the_plan(tmp_path, away):
    path = write_table(small_table(30), tmp_path / "t.parquet")
    reader = parquet_source(path)
    (chunk,) = cut_rows(reader.row_groups(None), 100)
    away(path)
    with pytest.raises(DataError, match=r"t\.parquet .* row group 0: .*No such file"):
        reader.read(chunk, ["walk"], time=None)


def test_damaged_pages(tmp_path):
    path = write_table(small_table(3000), tmp_path / "t.parquet")
    raw = bytearray(path.read_bytes())
    raw[200:2000] = b"\xff" * 1800
    path.write_bytes(raw)
    reader = parquet_source(path)
    (chunk,) = cut_rows(reader.row_groups(None), 10_000)
    with pytest.raises(DataError, match=r"t\.parquet cannot be read as Parquet, at its row group 0"):
        reader.read(chunk, reader.describe().schema.names, time=None)
