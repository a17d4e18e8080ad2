"""Bytes of values in memory: by their type, by footers, and for strings in dictionaries by the dictionaries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from emberharmony.io.sources.parquet.decoding import open_parquet
from emberharmony.io.sources.parquet.footers import FooteredFile, RowGroup, open_unchanged, unreadable

SHORT_TEXT_BYTES = 16.0
"""Least bytes of a string: its offset and a few letters."""

_OFFSET_BYTES = 4
_SAMPLE_ROWS = 1024
_GROWTH = 1.5
"""Bytes for decoding a column of strings, per byte of it: a buffer that doubles keeps the smaller one for a while."""
_BLOCK_ROWS = 8192  # smaller row groups are averaged together, since a chunk has more rows
_BATCH_ROWS = 65_536
_MAX_DICTIONARIES = 5_000  # that are read, over all row groups; takes a second or two
_MAX_MEASURED = 64  # row groups measured per column, those with the longest strings
_MAX_MEASURED_BYTES = 16 * 2**20  # above, most values are outside of the dictionary, and the footer holds their size
_LONGER_BYTES = 64  # strings that are longer than planned by more than this are measured


def fixed_width(type_: pa.DataType) -> float | None:
    """Return the bytes of a value; ``None`` for strings and nested values."""
    if pt.is_dictionary(type_):
        values = fixed_width(type_.value_type)
        return None if values is None else values + float(type_.index_type.bit_width) / 8
    try:
        return float(type_.bit_width) / 8
    except ValueError:
        return None


def stored_widths(
    files: Sequence[FooteredFile], groups: Sequence[RowGroup], leaves: Sequence[str], schema: pa.Schema
) -> dict[str, float]:
    """Return the bytes per row of each column by the footers. They are fewer than decoded where equal values are stored once.

    For columns of varying width, the widest row groups count, since a chunk may hold only these.
    """
    widths = {field.name: fixed_width(field.type) for field in schema}
    sizes = {name: width or SHORT_TEXT_BYTES * max(1, leaves.count(name)) for name, width in widths.items()}
    varying = [(i, name) for i, name in enumerate(leaves) if name in widths and widths[name] is None]
    n_rows, n_bytes = 0, dict.fromkeys((name for _, name in varying), 0)
    least_rows = min(_BLOCK_ROWS, sum(group.n_rows for group in groups))
    for number, group in enumerate(groups if varying else [], start=1):
        metadata = files[group.file].metadata.row_group(group.number)
        n_rows += group.n_rows
        for i, name in varying:
            n_bytes[name] += metadata.column(i).total_uncompressed_size
        if n_rows >= least_rows or number == len(groups):
            sizes |= {name: max(sizes[name], of / max(n_rows, least_rows)) for name, of in n_bytes.items()}
            n_rows, n_bytes = 0, dict.fromkeys(n_bytes, 0)
    return sizes


def text_widths(
    files: Sequence[FooteredFile], groups: Sequence[RowGroup], stored: Mapping[str, float], leaves: Mapping[str, int]
) -> dict[str, float]:
    """Return the bytes per row of columns while strings are decoded, given the columns' `stored` widths and leaves.

    A footer holds the size of a dictionary, not how often its strings occur. Therefore the first rows of two row groups are
    decoded, and the dictionaries of up to 5,000 column chunks are read (0.2 ms each). If a dictionary holds strings much
    longer than planned, their occurrences are counted, without decoding them.
    """
    widths = dict(stored)
    least_rows = min(_BLOCK_ROWS, sum(group.n_rows for group in groups))
    for group in groups[:: max(1, len(groups) // 2)][:2] if leaves else []:
        for name in leaves:
            widths[name] = max(widths[name], _GROWTH * _first_rows_width(files[group.file], group, name, least_rows))
    longest: dict[str, list[tuple[int, RowGroup]]] = {name: [] for name in leaves}
    for group in groups[:: -(-len(groups) * len(leaves) // _MAX_DICTIONARIES) or 1]:
        for name, length in _longest_texts(files[group.file], group, leaves):
            if length > widths[name] + _LONGER_BYTES:
                longest[name].append((length, group))
    for name, found in longest.items():
        for length, group in sorted(found, key=lambda pair: -pair[0])[:_MAX_MEASURED]:
            if length > widths[name] + _LONGER_BYTES:
                widths[name] = max(widths[name], _GROWTH * _measured_width(files[group.file], group, name, least_rows))
    return widths


def _first_rows_width(file: FooteredFile, group: RowGroup, name: str, least_rows: int) -> float:
    with open_unchanged(file, f"row group {group.number}") as handle:
        batch = next(_batches(handle, file, group, name, _SAMPLE_ROWS))
    return _text_bytes(batch.column(0)) / int(batch.num_rows) * min(1.0, group.n_rows / least_rows)


def _longest_texts(file: FooteredFile, group: RowGroup, leaves: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Yield the length of the longest string in each column's dictionary of a row group, if most values are in it."""
    metadata = file.metadata.row_group(group.number)
    columns = {name: metadata.column(leaf) for name, leaf in leaves.items()}
    names = [
        name
        for name, column in columns.items()
        if column.has_dictionary_page and column.total_uncompressed_size <= _MAX_MEASURED_BYTES
    ]
    if not names:
        return
    with open_unchanged(file, f"row group {group.number}") as handle:
        for name in names:
            dictionary = next(_batches(handle, file, group, name, 1, as_dictionary=True)).column(0).dictionary
            yield name, pc.max(pc.binary_length(dictionary)).as_py() or 0


def _measured_width(file: FooteredFile, group: RowGroup, name: str, least_rows: int) -> float:
    """Return the most bytes per row of neighbouring rows; each string of the dictionary counts as often as it occurs."""
    with open_unchanged(file, f"row group {group.number}") as handle:
        batches = _batches(handle, file, group, name, _BATCH_ROWS, as_dictionary=True)
        return max(_text_bytes(batch.column(0)) / max(int(batch.num_rows), least_rows) for batch in batches)


def _text_bytes(texts: pa.Array) -> int:
    """Return the bytes of strings once they are decoded."""
    if not pt.is_dictionary(texts.type):
        return int(texts.nbytes)
    lengths = pc.binary_length(texts.dictionary).take(texts.indices)
    return (pc.sum(lengths).as_py() or 0) + _OFFSET_BYTES * len(texts)


def _batches(
    handle: BinaryIO, file: FooteredFile, group: RowGroup, name: str, n_rows: int, *, as_dictionary: bool = False
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of one column of a row group, in pieces."""
    try:
        parquet = open_parquet(handle, file.metadata, piecewise=True, dictionaries=[name] if as_dictionary else [])
        yield from parquet.iter_batches(n_rows, [group.number], [name], use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise unreadable(file.path, error, f"row group {group.number}, column {name!r}") from error
