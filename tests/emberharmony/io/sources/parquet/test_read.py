"""Rows of Parquet files: as they lie, also in batches; files that are damaged, changed or gone since the plan."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.errors import DataError
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
