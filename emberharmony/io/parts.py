"""Parts of the published tables: one Parquet file each, features as float32 columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from emberharmony.io.sources.parquet.decoding import number_categories
from emberharmony.io.store.base import FileRecord, Store
from emberharmony.typing import FeatureBlock

ROWS_PER_GROUP = 131_072
_WRITE_BUFFER_BYTES = 2**20  # pages are kilobytes: one at a time, threads would queue for the interpreter


def feature_part(split: str, chunk: int) -> str:
    """Name of a chunk's feature rows of one split.

    Examples
    --------
    >>> feature_part("train", 7)
    'features/split=train/part-00007.parquet'
    """
    return f"features/split={split}/part-{chunk:05}.parquet"


def window_part(stride: int, split: str, chunk: int) -> str:
    """Name of the scores of the windows that a chunk's rows of one split begin."""
    return f"windows/stride={stride}/split={split}/part-{chunk:05}.parquet"


def table_of(carried: pa.Table, names: Sequence[str], block: FeatureBlock) -> pa.Table:
    """Carried columns and a feature block, side by side; the block is not copied."""
    arrays = [*carried.columns, *(pa.array(feature) for feature in block)]
    return pa.Table.from_arrays(arrays, schema=pa.schema([*carried.schema, *_feature_fields(tuple(names))]))


@lru_cache(maxsize=16)
def _feature_fields(names: tuple[str, ...]) -> tuple[pa.Field, ...]:
    """Fields of features; all chunks have the same."""
    return tuple(pa.field(name, pa.float32(), nullable=False) for name in names)


def block_of(table: pa.Table, names: Sequence[str]) -> FeatureBlock:
    """The named float32 columns as a feature block of shape ``(len(names), n_rows)``."""
    block = np.empty((len(names), table.num_rows), np.float32)
    for row, name in zip(block, names, strict=True):
        begin = 0
        for piece in table[name].chunks:
            row[begin : begin + len(piece)] = piece.to_numpy()
            begin += len(piece)
    return block


class Encoding(NamedTuple):
    """Columns that are worth compressing; all others are stored as they are.

    Measured on 262,144 rows: 16 columns of continuous float32 take 10 ms uncompressed and 23 ms with zstd, which saves 8 %; 8
    cyclical columns 15 ms either way, a sixth of the size with a dictionary; 20 one-hot columns 16 ms and a fifteenth with
    LZ4 alone.
    """

    dictionary: tuple[str, ...] = ()  # few distinct values
    sparse: tuple[str, ...] = ()  # one-hot


_NAMES = b"emberharmony.columns"
"""Metadata of a part whose columns have other names in the file: their own names, in order."""


def as_stored(table: pa.Table, names: Sequence[str], further: Mapping[str, str]) -> pa.Table:
    """Return a part's rows as a file holds them whose columns have other names, and that has further, constant columns.

    `read_part` returns the columns under their own names, and without the further ones.

    Examples
    --------
    >>> stored = as_stored(pa.table({"x": [1], "X": [2]}), ["x", "x_2"], {"split": "train"})
    >>> stored.column_names, own_schema(stored.schema).names
    (['x', 'x_2', 'split'], ['x', 'X'])
    """
    fields = [field.with_name(name) for field, name in zip(table.schema, names, strict=True)]
    constants = [pa.field(name, pa.string()) for name in further]
    schema = pa.schema([*fields, *constants], metadata={_NAMES: json.dumps(table.column_names)})
    columns = [pa.repeat(pa.scalar(value, pa.string()), table.num_rows) for value in further.values()]
    return pa.Table.from_arrays([*table.columns, *columns], schema=schema)


def own_schema(schema: pa.Schema) -> pa.Schema:
    """Return the columns of a part's file under their own names; see `as_stored`."""
    return pa.schema([schema.field(i).with_name(name) for i, name in enumerate(_own_names(schema))])


def own_columns(table: pa.Table) -> pa.Table:
    """Return the rows of a part's file with its columns under their own names; see `as_stored`."""
    names = _own_names(table.schema)
    return table.select(range(len(names))).rename_columns(names)


def _own_names(schema: pa.Schema) -> list[str]:
    names: list[str] = json.loads((schema.metadata or {}).get(_NAMES, b"null")) or schema.names
    return names


def write_part(store: Store, name: str, table: pa.Table, encoding: Encoding) -> FileRecord:
    """Write one part; `encoding` names its columns by their own names, see `as_stored`."""
    own = dict(zip(table.column_names, _own_names(table.schema), strict=False))  # constants have none, and few values
    packed = {*encoding.dictionary, *encoding.sparse}
    few = [column for column in table.column_names if column not in own or own[column] in encoding.dictionary]
    with store.keeping(name) as file, pa.BufferedOutputStream(pa.PythonFile(file, mode="w"), _WRITE_BUFFER_BYTES) as stream:
        pq.write_table(
            table,
            stream,
            row_group_size=ROWS_PER_GROUP,
            use_dictionary=few,
            compression={column: "lz4" for column in table.column_names if own.get(column) in packed},  # others: none
            write_statistics=[field.name for field in table.schema if field.type != pa.float32()],
        )
    return file.record


def read_part(store: Store, record: FileRecord, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a part that was written, or some of its columns, under their own names.

    Raises
    ------
    DamagedError
        If the file is not what its record says.
    """
    with store.open_checked(record, whole=columns is None) as handle:
        parquet = pq.ParquetFile(handle)
        own = dict(zip(_own_names(parquet.schema_arrow), parquet.schema_arrow.names, strict=False))
        names = list(own) if columns is None else list(columns)
        table = parquet.read([own[name] for name in names], use_threads=False).rename_columns(names)
    for name in number_categories(parquet.metadata) & {*table.column_names}:
        table = table.set_column(table.column_names.index(name), name, table[name].dictionary_encode())
    return table.replace_schema_metadata()


def write_halo(store: Store, name: str, edges: Mapping[str, pa.Table]) -> FileRecord:
    """Write the first rows of each split of a chunk: what its neighbours' windows need of it."""
    tables = [table.append_column("split", pa.array([split] * table.num_rows)) for split, table in edges.items()]
    table = pa.concat_tables(tables).unify_dictionaries()  # an Arrow file holds one dictionary for each column
    with store.keeping(name) as file, pa.ipc.new_file(pa.PythonFile(file, mode="w"), table.schema) as writer:
        writer.write_table(table)
    return file.record


def read_halo(store: Store, record: FileRecord, split: str) -> pa.Table:
    """Read the first rows of one split of a chunk.

    Raises
    ------
    DamagedError
        If the file is not what its record says.
    """
    with store.open_checked(record) as handle:
        table = pa.ipc.open_file(pa.py_buffer(handle.read())).read_all()
    return table.filter(pc.equal(table["split"], split)).drop_columns("split")  # an expression would start a plan
