"""Parts of the published tables, and the edges that neighbours need."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import EmberharmonyError
from emberharmony.io.parts import (
    Encoding,
    as_stored,
    block_of,
    feature_part,
    own_columns,
    own_schema,
    read_halo,
    read_part,
    table_of,
    window_part,
    write_halo,
    write_part,
)
from emberharmony.io.store.local import LocalStore


def part(n_rows=7):
    block = np.random.default_rng(0).normal(size=(3, n_rows)).astype(np.float32)
    carried = pa.table({"row_number": pa.array(range(n_rows), pa.int64()), "name": [f"r{i}" for i in range(n_rows)]})
    return table_of(carried, ["a", "b", "c"], block), block


@pytest.mark.parametrize("n_rows", [0, 1, 7])
@pytest.mark.parametrize("encoding", [Encoding(), Encoding(dictionary=("a",), sparse=("b", "c"))])
def test_a_part_is_what_was_written(tmp_path, n_rows, encoding):
    store = LocalStore(tmp_path)
    table, block = part(n_rows)
    record = write_part(store, feature_part("train", 3), table, encoding)
    assert record.name == "features/split=train/part-00003.parquet"
    assert record.n_bytes == store.path(record).stat().st_size
    again = read_part(store, record)
    assert again.equals(table)
    np.testing.assert_array_equal(block_of(again, ["c", "a"]), block[[2, 0]])
    assert read_part(store, record, ["b"]).column_names == ["b"]
    assert not any(field.nullable for field in pq.read_schema(store.path(record)) if field.name in "abc")


def test_columns_may_have_other_names_in_the_file(tmp_path):
    store = LocalStore(tmp_path)
    table, _ = part()
    stored = as_stored(table, ["row_number", "name_", "a", "b", "a_2"], {"split": "train"})
    record = write_part(store, "part.parquet", stored, Encoding(dictionary=("a",), sparse=("c",)))
    schema = pq.read_schema(store.path(record))
    assert schema.names == ["row_number", "name_", "a", "b", "a_2", "split"]
    assert own_schema(schema).equals(table.schema)
    assert read_part(store, record).equals(table)
    assert read_part(store, record, ["c", "row_number"]).equals(table.select(["c", "row_number"]))
    assert read_part(store, record, []).column_names == []
    whole = pq.read_table(store.path(record))
    assert own_columns(whole).equals(table)
    assert whole["split"].to_pylist() == ["train"] * 7
    group = pq.read_metadata(store.path(record)).row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    assert [column.has_dictionary_page for column in columns] == [False, False, True, False, False, True]
    assert [column.path_in_schema for column in columns if column.compression == "LZ4"] == ["a", "a_2"]


def test_a_block_of_many_chunks():
    table, block = part(9)
    pieces = pa.concat_tables([table.slice(0, 2), table.slice(2, 0), table.slice(2, 7)])
    got = block_of(pieces, ["a", "b", "c"])
    np.testing.assert_array_equal(got, block)
    assert got.flags.c_contiguous
    assert block_of(table, []).shape == (0, 9)


def test_the_block_is_not_copied():
    table, block = part()
    assert table["b"].chunk(0).to_numpy().__array_interface__["data"][0] == block[1].__array_interface__["data"][0]


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_part_is_refused(tmp_path, damage):
    store = LocalStore(tmp_path)
    record = write_part(store, window_part(3, "test", 0), part()[0], Encoding())
    path = store.path(record)
    path.unlink() if damage == "gone" else path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(EmberharmonyError, match=r"part-00000-[0-9a-f]{16}\.parquet"):
        read_part(store, record)


def test_edges_by_split(tmp_path):
    store = LocalStore(tmp_path)
    table, _ = part()
    record = write_halo(store, "edges/0.arrow", {"train": table.slice(0, 2), "test": table.slice(5, 1)})
    assert read_halo(store, record, "train").equals(table.slice(0, 2))
    assert read_halo(store, record, "test").equals(table.slice(5, 1))
    assert read_halo(store, record, "validation").num_rows == 0


def test_edges_of_dictionaries_that_differ(tmp_path):
    """Columns carried along may be dictionaries, of which an Arrow file holds one for each column."""
    store = LocalStore(tmp_path)
    tags = [pa.array([f"tag {i}"]).dictionary_encode() for i in range(3)]
    tables = [pa.table({"row_number": pa.array([i], pa.int64()), "tag": tag}) for i, tag in enumerate(tags)]
    record = write_halo(store, "e.arrow", dict(zip(("train", "validation", "test"), tables, strict=True)))
    assert [read_halo(store, record, name)["tag"].to_pylist() for name in ("train", "test")] == [["tag 0"], ["tag 2"]]


def test_categories_of_numbers_are_read_as_they_were_written(tmp_path):
    """So that rows of a part and of a chunk's edges are of one type."""
    store = LocalStore(tmp_path)
    carried = pa.table({"c": pa.array([7, None, 7]).dictionary_encode(), "y": [1, 2, 3]})
    record = write_part(store, "part.parquet", carried, Encoding())
    assert read_part(store, record).equals(carried)
    assert read_part(store, record, ["y"]).column_names == ["y"]
