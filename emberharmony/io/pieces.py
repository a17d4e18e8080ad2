"""Files of many tables, each of which is read on its own by one ranged read and checked."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

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
    begin, wanted = record.n_bytes - n_pieces * _ENTRY.itemsize, sorted({*places})  # in order, as they lie in the file
    first, end = (wanted[0], wanted[-1] + 1) if wanted else (0, 0)
    (index,) = store.read_ranges(record, [(begin + first * _ENTRY.itemsize, begin + end * _ENTRY.itemsize)])
    entries = np.frombuffer(index, _ENTRY)[[place - first for place in wanted]]
    ranges = [(offset, offset + n_bytes) for offset, n_bytes, _ in entries.tolist()]
    if any(stop > begin for _, stop in ranges):
        raise store.damaged(record)
    tables = dict[int, pa.Table | None]()
    for place, content, crc in zip(wanted, store.read_ranges(record, ranges), entries["crc"], strict=True):
        if zlib.crc32(content) != crc:
            raise store.damaged(record)
        tables[place] = pa.ipc.open_stream(pa.py_buffer(content)).read_all() if len(content) else None
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
