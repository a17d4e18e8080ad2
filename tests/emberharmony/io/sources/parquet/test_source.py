"""Parquet tables: described by their footers, read chunk by chunk, in the job's order."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberharmony.errors import DataError
from emberharmony.io.sources.parquet.source import ParquetSource
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.planning.chunks import NO_ROWS, Chunk, cut_rows, cut_times, time_buckets
from tests.jobs import small_table, write_table


def source(path, **spec):
    return ParquetSource(ParquetSourceSpec(str(path), **spec))


def ticks_of(table):
    return table["t"].cast(pa.int64()).to_numpy()


def expected_rows(table, begin, end):
    """The table in time order, ties by row number, with row numbers."""
    order = np.argsort(ticks_of(table), kind="stable")[begin:end]
    return table.take(pa.array(order)), order


@pytest.mark.parametrize("columns", [None, ("t", "walk")])
def test_describe(tmp_path, columns):
    table = small_table(100)
    info = source(write_table(table, tmp_path / "t", files=3, group_rows=9), columns=columns).describe()
    assert info.n_rows == 100
    assert info.schema.names == list(columns or table.column_names)
    assert all(info.schema.field(name).type == table.schema.field(name).type for name in info.schema.names)
    assert info.bytes_per_row.keys() == set(info.schema.names)
    assert info.bytes_per_row["walk"] >= 8
    assert len(info.identity["files"]) == 3


def test_identity_is_that_of_the_content_and_of_its_last_change(tmp_path):
    path = write_table(small_table(50), tmp_path / "a.parquet")
    first = source(path).describe().identity
    assert source(path).describe().identity == first
    write_table(small_table(50).set_column(1, "walk", pa.array(np.arange(50.0))), path)
    assert source(path).describe().identity != first


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_a_change_that_leaves_size_and_footer_alone_is_seen(tmp_path, compression):
    """Labels in another order: the same bytes in other places, the same statistics."""
    labels = np.arange(64.0)
    options = {"compression": compression, "use_dictionary": False}
    pq.write_table(pa.table({"y": labels}), tmp_path / "a.parquet", **options)
    first = source(tmp_path / "a.parquet").describe().identity
    pq.write_table(pa.table({"y": labels[::-1]}), tmp_path / "a.parquet", **options)
    second = source(tmp_path / "a.parquet").describe().identity
    if compression == "none":
        assert [(name, size, digest) for name, size, _, digest in first["files"]] == [
            (name, size, digest) for name, size, _, digest in second["files"]
        ], "the case is not what it should be"
    assert first != second


@pytest.mark.parametrize("order", ["sorted", "shuffled", "blocks", "ties"])
@settings(max_examples=25)
@given(
    n_rows=st.integers(1, 120),
    group_rows=st.integers(1, 60),
    files=st.integers(1, 4),
    chunk_rows=st.integers(1, 130),
)
def test_chunks_are_the_table_in_time_order(tmp_path_factory, order, n_rows, group_rows, files, chunk_rows):
    folder = tmp_path_factory.mktemp("parquet")
    table = small_table(n_rows, order=order)
    reader = source(write_table(table, folder / "t", group_rows=group_rows, files=min(files, n_rows)))
    groups = reader.row_groups("t")
    if groups is not None and reader.is_sorted_within("t", chunk_rows):
        chunks = cut_rows(groups, chunk_rows)
    else:
        span = reader.time_range("t")
        assert (span.first, span.last, span.n_null) == (ticks_of(table).min(), ticks_of(table).max(), 0)
        buckets = time_buckets(lambda *a: reader.count_times("t", *a), span.first, span.last, max_rows=max(chunk_rows // 2, 1))
        chunks = cut_times(list(buckets), chunk_rows)
    assert sum(chunk.n_rows for chunk in chunks) == n_rows
    if order == "sorted":
        assert groups is not None
    for chunk in chunks:
        got = reader.read(chunk, ["walk", "name"], time="t")
        rows, numbers = expected_rows(table, chunk.first_row, chunk.first_row + chunk.n_rows)
        assert got.column_names == ["row_number", "walk", "name"]
        np.testing.assert_array_equal(got["row_number"], numbers)
        assert got["name"].to_pylist() == rows["name"].to_pylist()


@given(n_rows=st.integers(1, 90), group_rows=st.integers(1, 90), chunk_rows=st.integers(1, 90), batch=st.integers(1, 50))
def test_source_order(tmp_path_factory, n_rows, group_rows, chunk_rows, batch):
    """Without a time rows stay where they are, also where a group is read in batches."""
    table = small_table(n_rows)
    reader = source(write_table(table, tmp_path_factory.mktemp("parquet") / "t.parquet", group_rows=group_rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("emberharmony.io.sources.parquet.read._MIN_BATCH_ROWS", batch)
        patch.setattr("emberharmony.io.sources.parquet.read._MAX_BATCH_ROWS", batch)
        for chunk in cut_rows(reader.row_groups(None), chunk_rows):
            got = reader.read(chunk, ["name"], time=None)
            rows = range(chunk.first_row, chunk.first_row + chunk.n_rows)
            assert got["row_number"].to_pylist() == list(rows)
            assert got["name"].to_pylist() == [f"row {i}" for i in rows]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("statistics", [True, False])
def test_footers_tell_times_to_the_tick(tmp_path, unit, statistics):
    first = 1_700_000_000 * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit] + 1
    numbers = first + np.random.default_rng(0).permutation(100)
    table = pa.table({"t": pa.array(numbers, pa.timestamp(unit, "UTC"))})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=13, write_statistics=statistics)
    reader = source(tmp_path / "t.parquet")
    scale = 1000 if unit == "s" else 1  # Parquet has no seconds
    span = reader.time_range("t")
    assert (span.first, span.last) == (scale * first, scale * (first + 99))
    assert len(reader.times_between("t", scale * first, scale * (first + 10))) == 10
    assert reader.count_times("t", scale * first, scale * 10, 10).tolist() == [10] * 10


@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize("type_", [pa.timestamp("ms"), pa.timestamp("us", "UTC"), pa.timestamp("ns"), pa.date32()], ids=str)
def test_times_that_python_does_not_have(tmp_path, type_, statistics):
    """Years before 1 and after 9999, and the smallest and largest integer, as other writers store NaT and infinity."""
    bits = type_.bit_width
    numbers = [2 ** (bits - 1) - 1, 5, -719_200, 2_932_897, -(2 ** (bits - 1)), 2 ** (bits - 1) - 2, 0]
    t = pa.array(numbers, pa.int32() if bits == 32 else pa.int64()).cast(type_)
    pq.write_table(pa.table({"t": t, "x": range(7)}), tmp_path / "t.parquet", row_group_size=2, write_statistics=statistics)
    reader = source(tmp_path / "t.parquet")
    scale = 86_400 if bits == 32 else 1
    span = reader.time_range("t")
    assert (span.first, span.last, span.n_null) == (scale * min(numbers), scale * max(numbers), 0)
    assert not reader.is_sorted_within("t", 1)
    resolution = reader.order("t").resolution
    count = partial(reader.count_times, "t")
    chunks = cut_times(list(time_buckets(count, span.first, span.last, max_rows=1, resolution=resolution)), 2)
    rows = pa.concat_tables([reader.read(chunk, ["t", "x"], time="t") for chunk in chunks])
    assert rows["x"].to_pylist() == np.argsort(numbers).tolist()
    assert rows["t"].combine_chunks().view(pa.int32() if bits == 32 else pa.int64()).to_pylist() == sorted(numbers)


def test_null_times(tmp_path):
    table = pa.table({"t": pa.array([5, None, 3, None, 9, 1], pa.timestamp("us")), "x": range(6)})
    for group_rows in (1, 2, 6):
        reader = source(write_table(table, tmp_path / f"{group_rows}.parquet", group_rows=group_rows))
        assert reader.row_groups("t") is None
        assert (reader.time_range("t").first, reader.time_range("t").last, reader.time_range("t").n_null) == (1, 9, 2)
        got = reader.read(Chunk(0, 0, 4, (0, 10)), ["x"], time="t")
        assert got["row_number"].to_pylist() == got["x"].to_pylist() == [5, 2, 0, 4]


def test_no_time_at_all(tmp_path):
    table = pa.table({"t": pa.nulls(4, pa.timestamp("us"))})
    with pytest.raises(DataError, match="'t' holds no time in any of its rows"):
        source(write_table(table, tmp_path / "t.parquet")).time_range("t")


def test_which_files(tmp_path):
    write_table(small_table(10), tmp_path / "b.parquet")
    write_table(small_table(20), tmp_path / "a.parquet")
    (tmp_path / "sub").mkdir()
    write_table(small_table(40), tmp_path / "sub" / "c.parquet")
    (tmp_path / ".hidden").mkdir()
    write_table(small_table(80), tmp_path / ".hidden" / "d.parquet")
    write_table(small_table(80), tmp_path / "_temporary.parquet")
    (tmp_path / "notes.txt").write_text("no table")
    folder = source(tmp_path)
    assert folder.describe().n_rows == 70
    assert [name for name, *_ in folder.describe().identity["files"]] == ["a.parquet", "b.parquet", "c.parquet"]
    assert source(tmp_path / "*.parquet").describe().n_rows >= 30
    assert source(tmp_path / "b.parquet").describe().n_rows == 10


def test_a_table_without_rows(tmp_path):
    none = source(write_table(small_table(5).slice(0, 0), tmp_path / "empty.parquet"))
    assert none.describe().n_rows == 0
    assert none.read(NO_ROWS, ["name", "walk"], time="t").schema.names == ["row_number", "name", "walk"]


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.parquet does not exist\. Check `source\.path`"):
        source(tmp_path / "nowhere.parquet").describe()
    with pytest.raises(DataError, match=r"holds no Parquet files"):
        source(tmp_path).describe()
    (tmp_path / "corrupt.parquet").write_bytes(b"PAR1" + b"x" * 100)
    with pytest.raises(DataError, match=r"corrupt\.parquet cannot be read as Parquet, at its footer"):
        source(tmp_path / "corrupt.parquet").describe()
    write_table(small_table(5), tmp_path / "good.parquet")
    with pytest.raises(DataError, match=r"source\.columns names nope"):
        source(tmp_path / "good.parquet", columns=("nope",)).describe()


def test_a_file_changed_after_the_plan(tmp_path):
    path = write_table(small_table(30), tmp_path / "t.parquet")
    reader = source(path)
    (chunk,) = cut_rows(reader.row_groups(None), 100)
    os.utime(path, ns=(1, 1))
    with pytest.raises(DataError, match="was changed after the job was planned"):
        reader.read(chunk, ["walk"], time=None)


@pytest.mark.parametrize("away", [Path.unlink, lambda path: path.rename(path.with_suffix(".gone"))])
def test_a_file_that_is_gone_after_the_plan(tmp_path, away):
    path = write_table(small_table(30), tmp_path / "t.parquet")
    reader = source(path)
    (chunk,) = cut_rows(reader.row_groups(None), 100)
    away(path)
    with pytest.raises(DataError, match=r"t\.parquet .* row group 0: .*No such file"):
        reader.read(chunk, ["walk"], time=None)


def test_damaged_pages(tmp_path):
    path = write_table(small_table(3000), tmp_path / "t.parquet")
    raw = bytearray(path.read_bytes())
    raw[200:2000] = b"\xff" * 1800
    path.write_bytes(raw)
    reader = source(path)
    (chunk,) = cut_rows(reader.row_groups(None), 10_000)
    with pytest.raises(DataError, match=r"t\.parquet cannot be read as Parquet, at its row group 0"):
        reader.read(chunk, reader.describe().schema.names, time=None)


def test_nested_columns_before_the_time(tmp_path):
    table = pa.table({"s": [{"a": 1, "b": 2}] * 4, "l": [[1]] * 4, "t": pa.array([3, 1, 2, 4], pa.timestamp("us"))})
    reader = source(write_table(table, tmp_path / "t.parquet", group_rows=2))
    assert (reader.time_range("t").first, reader.time_range("t").last) == (1, 4)
    assert reader.describe().bytes_per_row["s_b"] >= 8


@pytest.mark.parametrize(
    ("pattern", "n_rows"),
    [("t/*.parquet", 30), ("t/00?.parquet", 30), ("t/00[02].parquet", 20), ("**/001.parquet", 10), ("a[1].parquet", 5)],
)
def test_a_pattern_is_what_a_shell_knows(tmp_path, monkeypatch, pattern, n_rows):
    """A file that is named like one is a file."""
    write_table(small_table(30), tmp_path / "t", files=3)
    write_table(small_table(5), tmp_path / "a[1].parquet")
    (tmp_path / "folder.parquet").mkdir()
    assert source(tmp_path / pattern).describe().n_rows == n_rows
    monkeypatch.chdir(tmp_path)
    assert source(pattern).describe().n_rows == n_rows
    with pytest.raises(DataError, match=r"no\?\.parquet matches no file"):
        source("no?.parquet").describe()


def test_the_home_folder(tmp_path, monkeypatch):
    write_table(small_table(30), tmp_path / "t.parquet")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert source("~/t.parquet").describe().n_rows == 30


def test_footers_that_contradict_themselves(tmp_path):
    path = write_table(small_table(50), tmp_path / "t.parquet")
    content = bytearray(path.read_bytes())
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    n_rows = content.index(b"\x16\x64", footer) + 1  # 50 rows in Thrift's compact protocol; the row group's number comes later
    content[n_rows] += 2
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"t\.parquet is damaged: its footer counts 51 rows, its row groups 50"):
        source(path).describe()


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1PAR1", b"x" * 5000, b"PAR1" + b"\xff" * 50 + b"\xff\xff\xff\x7fPAR1"])
def test_files_that_are_cut_off_or_no_parquet(tmp_path, content):
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"t\.parquet cannot be read as Parquet"):
        source(tmp_path).describe()


@pytest.mark.parametrize("files", [1, 2])
def test_two_columns_of_one_name(tmp_path, files):
    table = pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0])], names=["a", "a"])
    for i in range(files):
        pq.write_table(table, tmp_path / f"{i}.parquet")
    with pytest.raises(DataError, match=r"0\.parquet has several columns named a"):
        source(tmp_path).describe()
