"""Decodes Parquet files in one way everywhere, so that footers, plans and rows agree on types and values."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from emberharmony.arrow import invalid_text, is_bytes, is_category, is_text, plain_schema
from emberharmony.errors import DataError

READ_BUFFER_BYTES = 2**18
"""What is read at a time of a column chunk that is decoded piece by piece."""
_ARROW_SCHEMA = b"ARROW:schema"


def open_parquet(
    handle: BinaryIO | pa.NativeFile,
    metadata: pq.FileMetaData | None,
    *,
    piecewise: bool = False,
    in_memory: bool = False,
    dictionaries: Sequence[str] = (),
) -> pq.ParquetFile:
    """Open a file.

    INT96 timestamps are read as microseconds: nanoseconds outside of 1677 to 2262 would wrap. Checksums of pages are compared
    if a file has them (measured: 5 % of decoding, for a million rows).

    Parameters
    ----------
    handle : file
        The open file.
    metadata : FileMetaData, optional
        Its footer, which is read otherwise.
    piecewise : bool
        Whether to read compressed data buffer by buffer, for files whose row groups are read in batches.
    in_memory : bool
        Whether the file is in memory, so that nothing has to be read ahead.
    dictionaries : sequence of str
        Columns of strings to read as dictionaries, without decoding each value.
    """
    # Without a buffer, the first page of a column chunk would read the whole compressed chunk.
    buffered: dict[str, int] = {"buffer_size": READ_BUFFER_BYTES} if piecewise else {}
    return pq.ParquetFile(
        handle,
        metadata=metadata,
        coerce_int96_timestamp_unit="us",
        page_checksum_verification=True,
        arrow_extensions_enabled=False,  # with extensions, strings are decoded even if a dictionary is asked for
        read_dictionary=list(dictionaries),
        pre_buffer=not (piecewise or in_memory),
        **buffered,
    )


def stored_columns(metadata: pq.FileMetaData) -> tuple[pa.Schema, frozenset[str]]:
    """Return names and types of a file's columns as `decoded` returns them, and `number_categories`, plain numbers there.

    Files that are written alike get the same objects: making them takes longer than decoding the footer, and thousands of
    files have one schema.
    """
    _, _, text = repr(metadata.schema).partition("\n")  # the first line holds an address in memory
    return _columns_of(_Written(text, (metadata.metadata or {}).get(_ARROW_SCHEMA), metadata))


@dataclass(frozen=True)
class _Written:
    """What decides the columns of a file: the tree of its schema, and the schema that Arrow had when it was written."""

    schema: str
    arrow_schema: bytes | None
    metadata: pq.FileMetaData = field(compare=False)


@lru_cache(maxsize=64)
def _columns_of(written: _Written) -> tuple[pa.Schema, frozenset[str]]:
    schema = plain_schema(open_parquet(pa.BufferReader(b""), written.metadata).schema_arrow)
    return schema, number_categories(written.metadata)


def number_categories(metadata: pq.FileMetaData) -> frozenset[str]:
    """Return the columns of numbers that were dictionaries when the file was written, such as a pandas `Categorical`.

    Arrow restores only dictionaries of strings, and reads the others as plain numbers.
    """
    stored = (metadata.metadata or {}).get(_ARROW_SCHEMA)
    if stored is None:
        return frozenset()
    try:
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(stored)))
    except (pa.ArrowException, OSError, ValueError):
        return frozenset()  # Arrow ignores a stored schema that it cannot read
    kinds = {column.name: column.type.value_type for column in schema if pt.is_dictionary(column.type)}
    return frozenset(name for name, values in kinds.items() if is_category(values) and not is_text(values))


def decoded(values: pa.ChunkedArray, name: str, type_: pa.DataType, address: str, *, other: str | None) -> pa.ChunkedArray:
    """Return a column of a file with the type that the column has in the table.

    Parameters
    ----------
    values : pyarrow.ChunkedArray
        The column in a plain layout.
    name : str
        Its name, for messages.
    type_ : pyarrow.DataType
        The type in the table, which holds the values of all files.
    address : str
        The address of the file.
    other : str, optional
        The address of a file for which the table has that type, if the files' types differ.

    Raises
    ------
    DataError
        If a string is not UTF-8, or the table's type cannot hold a value.
    """
    if values.type != type_:
        try:
            # Unchecked, since the check of all strings follows: the error of a checked cast does not name the value.
            values = values.cast(pa.large_string(), safe=False) if is_text(type_) and is_bytes(values.type) else values
            if pt.is_dictionary(type_) and not pt.is_dictionary(values.type) and not pt.is_null(values.type):
                values = values.cast(type_.value_type).dictionary_encode()
            values = values.cast(type_)
        except pa.ArrowException as error:
            raise too_narrow(name, values.type, type_, address, other=other, reason=str(error)) from error
    wrong = invalid_text(values)
    if wrong is not None:
        raise DataError(
            f"Column {name!r} of {address} holds a string that is not UTF-8: {wrong[:40]!r}. Convert the column to UTF-8, or "
            f"leave it out with columns.drop."
        )
    return values


def too_narrow(
    name: str, own: pa.DataType, type_: pa.DataType, address: str, *, other: str | None, reason: str = ""
) -> DataError:
    """Return the error for a file whose values the type of the whole table cannot hold."""
    where = f" in {other}" if other else ""
    detail = f" ({reason.splitlines()[0].rstrip('.')})" if reason else ""
    return DataError(
        f"Column {name!r} is {own} in {address} and {type_}{where}, which cannot hold all of its values{detail}. Write one of "
        f"the files again, or leave the column out with columns.drop."
    )


def damaged_column(handle: BinaryIO, metadata: pq.FileMetaData, group: int, columns: Mapping[str, str]) -> str | None:
    """Return the first of some columns, by name and path, that cannot be decoded: Arrow's error does not name it."""
    for name, dotted in columns.items():
        try:
            for _ in open_parquet(handle, metadata, piecewise=True).iter_batches(1024, [group], [dotted], use_threads=False):
                pass
        except (pa.ArrowException, OSError):
            return name
    return None
