"""How wide values are in memory: by their type, by footers, and, of texts in dictionaries, by the dictionaries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from emberharmony.io.sources.parquet.decoding import open_parquet
from emberharmony.io.sources.parquet.footers import FooteredFile, RowGroup, open_unchanged, unreadable

SHORT_TEXT_BYTES = 16.0
"""What a string takes at the least: offsets and a few letters."""

_OFFSET_BYTES = 4
_SAMPLE_ROWS = 1024
_GROWTH = 1.5
"""What decoding a column of strings takes of its size: a buffer that doubles leaves behind the half that it has outgrown."""
_BLOCK_ROWS = 8192  # row groups of fewer rows count together: a chunk has more
_BATCH_ROWS = 65_536
_MAX_DICTIONARIES = 5_000  # that are looked at, of all row groups: a second or two
_MAX_MEASURED = 64  # row groups of a column, those with the longest texts
_MAX_MEASURED_BYTES = 16 * 2**20  # of more, most values are not in the dictionary, and the footer tells their size
_LONGER_BYTES = 64  # by which texts may be longer than planned before they are measured


def fixed_width(type_: pa.DataType) -> float | None:
    """Bytes of a value; ``None`` of strings and nested values."""
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
    """Return the bytes per row of every column as its footers tell them: where equal values stand once, less than decoded.

    Of columns whose values differ in width, the widest row groups count: a chunk may hold no others.
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
    """Return the bytes per row that decoding texts takes, by the columns' `stored` widths and leaves.

    A footer tells the size of a dictionary, not how often its texts occur. So the first rows of two row groups are decoded,
    and the dictionaries of up to 5,000 column chunks (a fifth of a millisecond each) are looked at. Where one holds texts
    much longer than planned, their occurrences are counted, without decoding them.
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
    """The longest text of each column's dictionary in a row group, where it has one that tells."""
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
    """Most bytes per row of neighbouring rows, each text of the dictionary counted as often as it occurs."""
    with open_unchanged(file, f"row group {group.number}") as handle:
        batches = _batches(handle, file, group, name, _BATCH_ROWS, as_dictionary=True)
        return max(_text_bytes(batch.column(0)) / max(int(batch.num_rows), least_rows) for batch in batches)


def _text_bytes(texts: pa.Array) -> int:
    """Bytes that texts take once they are decoded."""
    if not pt.is_dictionary(texts.type):
        return int(texts.nbytes)
    lengths = pc.binary_length(texts.dictionary).take(texts.indices)
    return (pc.sum(lengths).as_py() or 0) + _OFFSET_BYTES * len(texts)


def _batches(
    handle: BinaryIO, file: FooteredFile, group: RowGroup, name: str, n_rows: int, *, as_dictionary: bool = False
) -> Iterator[pa.RecordBatch]:
    """Rows of one column of a row group, in pieces."""
    try:
        parquet = open_parquet(handle, file.metadata, piecewise=True, dictionaries=[name] if as_dictionary else [])
        yield from parquet.iter_batches(n_rows, [group.number], [name], use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise unreadable(file.path, error, f"row group {group.number}, column {name!r}") from error
