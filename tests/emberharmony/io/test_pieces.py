"""Files of many tables: what is written comes back, and damage is found."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.errors import DamagedError
from emberharmony.io.pieces import read_pieces, write_pieces
from emberharmony.io.store.local import LocalStore


def table_of(n_rows, begin=0):
    values = pa.array(["a", "b", None], pa.string()).dictionary_encode()
    words = pa.chunked_array([values.slice(i % 3, 1) for i in range(n_rows)], values.type)
    return pa.table({"row_number": pa.array(range(begin, begin + n_rows), pa.int64()), "word": words})


@given(sizes=st.lists(st.integers(0, 4), max_size=6), places=st.lists(st.integers(0, 5), max_size=8))
def test_what_is_written_comes_back(sizes, places, tmp_path_factory):
    store = LocalStore(tmp_path_factory.mktemp("pieces"))
    tables = [table_of(n_rows, 10 * i) for i, n_rows in enumerate(sizes)]
    record = write_pieces(store, "partition/00000.pieces", iter(tables))
    places = [place for place in places if place < len(tables)]
    found = read_pieces(store, record, places, len(tables))
    expected = [tables[place].to_pydict() if sizes[place] else None for place in places]
    assert [piece.to_pydict() if piece is not None else None for piece in found] == expected
    assert all(piece.schema == tables[0].schema for piece in found if piece is not None)


def path_of(tmp_path):
    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
    return path


def test_every_damaged_byte_is_found(tmp_path):
    """Bytes of the pieces and of the index are changed, one at a time."""
    store, tables = LocalStore(tmp_path), [table_of(2), table_of(0), table_of(3, 10)]
    record = write_pieces(store, "one.pieces", tables)
    path = path_of(tmp_path)
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        with pytest.raises(DamagedError, match="is missing or was changed") as error:
            read_pieces(store, record, [0, 1, 2], 3)
        assert error.value.file == record.kept_as


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:-1])])
def test_a_file_that_is_missing_or_too_short(tmp_path, damage):
    store = LocalStore(tmp_path)
    record = write_pieces(store, "one.pieces", [table_of(2)])
    damage(path_of(tmp_path))
    with pytest.raises(DamagedError):
        read_pieces(store, record, [0], 1)
