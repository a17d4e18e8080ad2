"""Footers: what a file holds, and whether it is still the same file."""

from __future__ import annotations

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import DataError, TransientError
from emberharmony.io.sources.parquet.footers import open_footer, open_footers, open_unchanged, unreadable
from emberharmony.io.sources.parquet.local_files import LocalFile

TABLE = pa.table({"x": [1.5, 2.5, 3.5], "s": ["a", "b", None]})


@pytest.fixture
def path(tmp_path):
    pq.write_table(TABLE, tmp_path / "t.parquet", row_group_size=2)
    return tmp_path / "t.parquet"


def test_a_footer_says_what_the_file_holds(path):
    file = open_footer(LocalFile(str(path)))
    assert (file.address, file.version.n_bytes) == (str(path), path.stat().st_size)
    assert [file.metadata.row_group(i).num_rows for i in range(2)] == [2, 1]
    assert file.schema.names == ["x", "s"]
    assert file.schema.field("x").type == pa.float64()


def test_the_digest_is_that_of_the_footer(path, tmp_path):
    pq.write_table(TABLE, tmp_path / "same.parquet", row_group_size=2)
    pq.write_table(TABLE, tmp_path / "other.parquet", row_group_size=3)
    same, other = (open_footer(LocalFile(str(tmp_path / f"{name}.parquet"))).footer_digest for name in ("same", "other"))
    assert open_footer(LocalFile(str(path))).footer_digest == same != other


def test_a_file_that_has_changed_is_refused(path):
    file = open_footer(LocalFile(str(path)))
    with open_unchanged(file, "footer") as handle:
        assert handle.read() == path.read_bytes()
    os.utime(path, ns=(file.version.tag, file.version.tag + 1))
    with pytest.raises(DataError, match="was changed after the job was planned"):
        open_unchanged(file, "footer")
    path.unlink()
    with pytest.raises(DataError, match="cannot be read as Parquet, at its row group 1"):
        open_unchanged(file, "row group 1")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"x" * 50 + b"PAR1", b"a,b\n1,2\n"], ids=len)
def test_what_is_no_parquet_file(tmp_path, content):
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"t\.parquet cannot be read as Parquet, at its footer"):
        open_footer(LocalFile(str(tmp_path / "t.parquet")))


def test_an_encrypted_file_is_named_as_such(path):
    path.write_bytes(path.read_bytes()[:-4] + b"PARE")
    with pytest.raises(DataError, match="is encrypted"):
        open_footer(LocalFile(str(path)))


def test_two_columns_of_one_name_are_refused(tmp_path):
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(DataError, match="several columns named a"):
        open_footer(LocalFile(str(tmp_path / "t.parquet")))


def test_errors_of_the_system_say_what_to_do(path):
    assert isinstance(unreadable(str(path), OSError(5, "Input/output error"), "footer"), TransientError)
    assert "permission denied" in str(unreadable(str(path), PermissionError(13, "Permission denied"), "footer"))


@pytest.mark.parametrize("n_columns", [1, 700])
def test_a_footer_that_is_longer_than_the_first_read_is_read_whole(tmp_path, n_columns):
    """The guess of a folder comes from its first file."""
    pq.write_table(TABLE, tmp_path / "a.parquet")
    wide = pa.table({f"column {i}": [float(i)] for i in range(n_columns)})
    pq.write_table(wide, tmp_path / "b.parquet")
    both = open_footers([LocalFile(str(tmp_path / "a.parquet")), LocalFile(str(tmp_path / "b.parquet"))])
    assert [file.schema for file in both] == [TABLE.schema, wide.schema]
    assert both == [open_footer(file.file, guess=2**20) for file in both]


def test_files_that_are_written_alike_share_their_schema(tmp_path):
    for name, table in {
        "a": TABLE,
        "b": TABLE.slice(1),
        "c": TABLE.cast(pa.schema({"x": pa.float32(), "s": "string"})),
    }.items():
        pq.write_table(table, tmp_path / f"{name}.parquet")
    dictionary = pa.table({"x": pa.array([1, 2, 1]).dictionary_encode(), "s": TABLE["s"]})
    pq.write_table(dictionary, tmp_path / "d.parquet")
    pq.write_table(pa.table({"x": [1, 2, 1], "s": TABLE["s"]}), tmp_path / "e.parquet")
    a, b, c, d, e = open_footers([LocalFile(str(tmp_path / f"{name}.parquet")) for name in "abcde"])
    assert a.schema is b.schema
    assert (a.schema.field("x").type, c.schema.field("x").type, d.schema.field("x").type) == (
        pa.float64(),
        pa.float32(),
        pa.int64(),
    )
    assert (d.number_categories, e.number_categories) == ({"x"}, frozenset())
