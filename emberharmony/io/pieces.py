"""Files of many tables, each of which is read on its own by one ranged read and checked."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from io import BufferedIOBase

import numpy as np
import pyarrow as pa

from emberharmony.io.store.base import FileRecord, Store

_ENTRY = np.dtype([("offset", "<u8"), ("n_bytes", "<u8"), ("crc", "<u4")])


def write_pieces(store: Store, name: str, tables: Iterable[pa.Table]) -> FileRecord:
    """Keep tables in one file: one after another, and an index at its end. A table without rows takes no space.

    Parameters
    ----------
    store : Store
        Where the file is kept.
    name : str
        Its name.
    tables : iterable of pyarrow.Table
        The pieces; `read_pieces` finds them by their places.
    """
    entries, offset = [], 0
    with store.keeping(name) as file:
        for table in tables:
            content = _as_bytes(table) if table.num_rows else b""
            file.write(content)
            entries.append((offset, len(content), zlib.crc32(content)))
            offset += len(content)
        file.write(np.array(entries, _ENTRY).tobytes())
    return file.record


def read_pieces(store: Store, record: FileRecord, places: Sequence[int], n_pieces: int) -> list[pa.Table | None]:
    """Read some of the tables that `write_pieces` has kept; ``None`` stands for a table without rows.

    Parameters
    ----------
    store : Store
        Where the file is kept.
    record : FileRecord
        Its record.
    places : sequence of int
        Places of the wanted tables.
    n_pieces : int
        Number of tables in the file.

    Raises
    ------
    DamagedError
        If the file is missing, or what was read is not what was written.
    """
    if store.size(record) != record.n_bytes:
        raise store.damaged(record)
    begin = record.n_bytes - n_pieces * _ENTRY.itemsize
    first, last = min(places, default=0), max(places, default=-1)
    tables = dict[int, pa.Table | None]()
    with store.open(record) as handle:
        index = _bytes_at(handle, begin + first * _ENTRY.itemsize, (last + 1 - first) * _ENTRY.itemsize)
        entries = np.frombuffer(index, _ENTRY)
        for place in sorted(places):  # as they lie in the file: who reads on is faster than who moves back
            offset, n_bytes, crc = entries[place - first]
            if offset + n_bytes > begin:
                raise store.damaged(record)
            content = _bytes_at(handle, int(offset), int(n_bytes))
            if zlib.crc32(content) != crc:
                raise store.damaged(record)
            tables[place] = pa.ipc.open_stream(pa.py_buffer(content)).read_all() if n_bytes else None
    return [tables[place] for place in places]


def _as_bytes(table: pa.Table) -> pa.Buffer:
    table = table.unify_dictionaries().combine_chunks()
    counted = pa.MockOutputStream()  # a stream that grows would copy what it has several times
    _write(table, counted)
    content = pa.allocate_buffer(counted.size())
    with pa.FixedSizeBufferWriter(content) as sink:
        _write(table, sink)
    return content


def _write(table: pa.Table, sink: pa.NativeFile) -> None:
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def _bytes_at(handle: BufferedIOBase, offset: int, n_bytes: int) -> bytes:
    handle.seek(offset)
    return handle.read(n_bytes)
