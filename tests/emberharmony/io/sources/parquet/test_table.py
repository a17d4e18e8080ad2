"""Parquet files as one table: which files, what it is described as, and what its identity is made of."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import DataError
from emberharmony.planning.chunks import NO_ROWS
from tests.jobs import parquet_source, small_table, write_table


@pytest.mark.parametrize("columns", [None, ("t", "walk")])
def test_describe(tmp_path, columns):
    table = small_table(100)
    info = parquet_source(write_table(table, tmp_path / "t", files=3, group_rows=9), columns=columns).describe()
    assert info.n_rows == 100
    assert info.schema.names == list(columns or table.column_names)
    assert all(info.schema.field(name).type == table.schema.field(name).type for name in info.schema.names)
    assert info.bytes_per_row.keys() == set(info.schema.names)
    assert info.bytes_per_row["walk"] >= 8
    assert len(info.identity["files"]) == 3


def test_identity_is_that_of_the_content_and_of_its_last_change(tmp_path):
    path = write_table(small_table(50), tmp_path / "a.parquet")
    first = parquet_source(path).describe().identity
    assert parquet_source(path).describe().identity == first
    write_table(small_table(50).set_column(1, "walk", pa.array(np.arange(50.0))), path)
    assert parquet_source(path).describe().identity != first


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_a_change_that_leaves_size_and_footer_alone_is_seen(tmp_path, compression):
    """Labels in another order: the same bytes in other places, the same statistics."""
    labels = np.arange(64.0)
    options = {"compression": compression, "use_dictionary": False}
    pq.write_table(pa.table({"y": labels}), tmp_path / "a.parquet", **options)
    first = parquet_source(tmp_path / "a.parquet").describe().identity
    pq.write_table(pa.table({"y": labels[::-1]}), tmp_path / "a.parquet", **options)
    second = parquet_source(tmp_path / "a.parquet").describe().identity
    if compression == "none":
        assert [(name, size, digest) for name, size, _, digest in first["files"]] == [
            (name, size, digest) for name, size, _, digest in second["files"]
        ], "the case is not what it should be"
    assert first != second


def test_which_files(tmp_path):
    write_table(small_table(10), tmp_path / "b.parquet")
    write_table(small_table(20), tmp_path / "a.parquet")
    (tmp_path / "sub").mkdir()
    write_table(small_table(40), tmp_path / "sub" / "c.parquet")
    (tmp_path / ".hidden").mkdir()
    write_table(small_table(80), tmp_path / ".hidden" / "d.parquet")
    write_table(small_table(80), tmp_path / "_temporary.parquet")
    (tmp_path / "notes.txt").write_text("no table")
    folder = parquet_source(tmp_path)
    assert folder.describe().n_rows == 70
    assert [name for name, *_ in folder.describe().identity["files"]] == ["a.parquet", "b.parquet", "c.parquet"]
    assert parquet_source(tmp_path / "*.parquet").describe().n_rows >= 30
    assert parquet_source(tmp_path / "b.parquet").describe().n_rows == 10


def test_a_table_without_rows(tmp_path):
    none = parquet_source(write_table(small_table(5).slice(0, 0), tmp_path / "empty.parquet"))
    assert none.describe().n_rows == 0
    assert none.read(NO_ROWS, ["name", "walk"], time="t").schema.names == ["row_number", "name", "walk"]


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.parquet does not exist\. Check `source\.path`"):
        parquet_source(tmp_path / "nowhere.parquet").describe()
    with pytest.raises(DataError, match=r"holds no Parquet files"):
        parquet_source(tmp_path).describe()
    (tmp_path / "corrupt.parquet").write_bytes(b"PAR1" + b"x" * 100)
    with pytest.raises(DataError, match=r"corrupt\.parquet cannot be read as Parquet, at its footer"):
        parquet_source(tmp_path / "corrupt.parquet").describe()
    write_table(small_table(5), tmp_path / "good.parquet")
    with pytest.raises(DataError, match=r"source\.columns names nope"):
        parquet_source(tmp_path / "good.parquet", columns=("nope",)).describe()


@pytest.mark.parametrize(
    ("pattern", "n_rows"),
    [("t/*.parquet", 30), ("t/00?.parquet", 30), ("t/00[02].parquet", 20), ("**/001.parquet", 10), ("a[1].parquet", 5)],
)
def test_a_pattern_is_what_a_shell_knows(tmp_path, monkeypatch, pattern, n_rows):
    """A file that is named like one is a file."""
    write_table(small_table(30), tmp_path / "t", files=3)
    write_table(small_table(5), tmp_path / "a[1].parquet")
    (tmp_path / "folder.parquet").mkdir()
    assert parquet_source(tmp_path / pattern).describe().n_rows == n_rows
    monkeypatch.chdir(tmp_path)
    assert parquet_source(pattern).describe().n_rows == n_rows
    with pytest.raises(DataError, match=r"no\?\.parquet matches no file"):
        parquet_source("no?.parquet").describe()


def test_the_home_folder(tmp_path, monkeypatch):
    write_table(small_table(30), tmp_path / "t.parquet")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parquet_source("~/t.parquet").describe().n_rows == 30


def test_footers_that_contradict_themselves(tmp_path):
    path = write_table(small_table(50), tmp_path / "t.parquet")
    content = bytearray(path.read_bytes())
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    n_rows = content.index(b"\x16\x64", footer) + 1  # 50 rows in Thrift's compact protocol; the row group's number comes later
    content[n_rows] += 2
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"t\.parquet is damaged: its footer counts 51 rows, its row groups 50"):
        parquet_source(path).describe()


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1PAR1", b"x" * 5000, b"PAR1" + b"\xff" * 50 + b"\xff\xff\xff\x7fPAR1"])
def test_files_that_are_cut_off_or_no_parquet(tmp_path, content):
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"t\.parquet cannot be read as Parquet"):
        parquet_source(tmp_path).describe()


@pytest.mark.parametrize("files", [1, 2])
def test_two_columns_of_one_name(tmp_path, files):
    table = pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0])], names=["a", "a"])
    for i in range(files):
        pq.write_table(table, tmp_path / f"{i}.parquet")
    with pytest.raises(DataError, match=r"0\.parquet has several columns named a"):
        parquet_source(tmp_path).describe()
