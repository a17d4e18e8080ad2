"""Bytes of values in memory: by their type, by footers, and for strings in dictionaries by the dictionaries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from emberharmony.arrow import varies
from emberharmony.io.sources.parquet.columns import StoredColumn
from emberharmony.io.sources.parquet.decoding import open_parquet
from emberharmony.io.sources.parquet.footers import FooteredFile, RowGroup, open_unchanged, stored_ranges, unreadable
from emberharmony.threads import in_parallel

if TYPE_CHECKING:
    from emberharmony.io.sources.parquet.table import ParquetTable

SHORT_TEXT_BYTES = 16.0
"""Least bytes of a string: its offset and a few letters."""

_OFFSET_BYTES = 4
_SAMPLE_ROWS = 1024
_GROWTH = 1.5
"""Bytes for decoding a column of strings, per byte of it: a buffer that doubles keeps the smaller one for a while."""
_BLOCK_ROWS = 8192  # smaller row groups are averaged together, since a chunk has more rows
_BATCH_ROWS = 65_536
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


def stored_widths(table: ParquetTable, schema: pa.Schema) -> dict[str, float]:
    """Return the bytes per row of each column by the footers. They are fewer than decoded where equal values are stored once.

    For columns of varying width, the widest row groups count, since a chunk may hold only these.
    """
    widths = {field.name: fixed_width(field.type) for field in schema}
    sizes = {name: width or SHORT_TEXT_BYTES for name, width in widths.items()}
    varying = [name for name, width in widths.items() if width is None and name not in table.partitions]
    for file in dict.fromkeys(group.file for group in table.groups) if varying else ():
        stored = table.columns.of_file(file)
        sizes |= {n: max(sizes[n], SHORT_TEXT_BYTES * len(stored[n].leaves)) for n in varying if n in stored}
    n_rows, n_bytes = 0, dict.fromkeys(varying, 0)
    least_rows = _least_rows(table)
    for number, group in enumerate(table.groups if varying else [], start=1):
        metadata, stored = table.files[group.file].metadata.row_group(group.number), table.columns.of_file(group.file)
        n_rows += group.n_rows
        for name in varying:
            for leaf in stored[name].leaves if name in stored else ():
                n_bytes[name] += metadata.column(leaf).total_uncompressed_size
        if n_rows >= least_rows or number == len(table.groups):
            sizes |= {name: max(sizes[name], of / max(n_rows, least_rows)) for name, of in n_bytes.items()}
            n_rows, n_bytes = 0, dict.fromkeys(n_bytes, 0)
    return sizes


def text_widths(table: ParquetTable, names: Sequence[str], stored: Mapping[str, float]) -> dict[str, float]:
    """Return the bytes per row of columns while strings are decoded, given the columns' `stored` widths.

    A footer holds the size of a dictionary, not how often its strings occur. Therefore the first rows of two row groups are
    decoded, and the dictionaries of up to 5,000 column chunks are read (0.2 ms each; in a bucket up to 512). If a dictionary
    holds strings much longer than planned, their occurrences are counted, without decoding them.
    """
    widths, groups = dict(stored), table.groups
    least_rows = _least_rows(table)
    n_readers = max((file.parallel_reads for file in table.listed), default=1)
    two = groups[:: max(1, len(groups) // 2)][:2] if names else []
    texts = [(name, group, column) for group in two for name, column in _texts_of(table, group, names).items()]

    def first_rows_width(text: tuple[str, RowGroup, StoredColumn]) -> float:
        _, group, column = text
        return _first_rows_width(table.files[group.file], group, column, least_rows)

    for (name, _, _), width in zip(texts, in_parallel(first_rows_width, texts, n_readers), strict=True):
        widths[name] = max(widths[name], _GROWTH * width)
    longest: dict[str, list[tuple[int, RowGroup]]] = {name: [] for name in names}
    most = min(file.most_probes for file in table.listed)
    some = groups[:: -(-len(groups) * len(names) // most) or 1]
    found = in_parallel(lambda group: _longest_texts(table, group, names), some, min(len(some), n_readers))
    for group, lengths in zip(some, found, strict=True):
        for name, length in lengths.items():
            if length > widths[name] + _LONGER_BYTES:
                longest[name].append((length, group))
    for name, groups_of in longest.items():
        for length, group in sorted(groups_of, key=lambda pair: -pair[0])[:_MAX_MEASURED]:
            if length > widths[name] + _LONGER_BYTES:
                column = table.columns.of_file(group.file)[name]
                measured = _measured_width(table.files[group.file], group, column, least_rows)
                widths[name] = max(widths[name], _GROWTH * measured)
    return widths


def _least_rows(table: ParquetTable) -> int:
    return min(_BLOCK_ROWS, sum(group.n_rows for group in table.groups))


def _texts_of(table: ParquetTable, group: RowGroup, names: Sequence[str]) -> dict[str, StoredColumn]:
    """Return those of some columns that are texts or bytes in the file of a row group."""
    stored = table.columns.of_file(group.file)
    texts = {name: stored[name] for name in names if name in stored}
    return {name: column for name, column in texts.items() if varies(column.flat.type)}


def _first_rows_width(file: FooteredFile, group: RowGroup, column: StoredColumn, least_rows: int) -> float:
    with _opened(file, group, [column], share=0.0) as handle:
        texts = next(_batches(handle, file, group, column, _SAMPLE_ROWS))
    return _text_bytes(texts) / len(texts) * min(1.0, group.n_rows / least_rows)


def _longest_texts(table: ParquetTable, group: RowGroup, names: Sequence[str]) -> dict[str, int]:
    """Return the length of the longest string in each column's dictionary of a row group, if most values are in it."""
    file = table.files[group.file]
    metadata, columns = file.metadata.row_group(group.number), {}
    for name, column in _texts_of(table, group, names).items():
        chunk = metadata.column(column.leaves.start)
        if chunk.has_dictionary_page and chunk.total_uncompressed_size <= _MAX_MEASURED_BYTES:
            columns[name] = column
    if not columns:
        return {}
    lengths = {}
    with _opened(file, group, list(columns.values()), share=0.0) as handle:
        for name, column in columns.items():
            dictionary = next(_batches(handle, file, group, column, 1, as_dictionary=True)).dictionary
            lengths[name] = pc.max(pc.binary_length(dictionary)).as_py() or 0
    return lengths


def _measured_width(file: FooteredFile, group: RowGroup, column: StoredColumn, least_rows: int) -> float:
    """Return the most bytes per row of neighbouring rows; each string of the dictionary counts as often as it occurs."""
    with _opened(file, group, [column]) as handle:
        batches = _batches(handle, file, group, column, _BATCH_ROWS, as_dictionary=True)
        return max(_text_bytes(texts) / max(len(texts), least_rows) for texts in batches)


def _opened(file: FooteredFile, group: RowGroup, columns: Sequence[StoredColumn], share: float = 1.0) -> BinaryIO:
    leaves = [leaf for column in columns for leaf in column.leaves]
    needed = stored_ranges(file, group.number, leaves, share=share) if file.file.read_ahead_bytes else ()
    return open_unchanged(file, f"row group {group.number}", needed)


def _text_bytes(texts: pa.Array) -> int:
    """Return the bytes of strings once they are decoded."""
    if not pt.is_dictionary(texts.type):
        return int(texts.nbytes)
    lengths = pc.binary_length(texts.dictionary).take(texts.indices)
    return (pc.sum(lengths).as_py() or 0) + _OFFSET_BYTES * len(texts)


def _batches(
    handle: BinaryIO, file: FooteredFile, group: RowGroup, column: StoredColumn, n_rows: int, *, as_dictionary: bool = False
) -> Iterator[pa.Array]:
    """Yield the values of one column of a row group, in pieces."""
    dotted = column.dotted
    try:
        parquet = open_parquet(handle, file.metadata, piecewise=True, dictionaries=[dotted] if as_dictionary else [])
        for batch in parquet.iter_batches(n_rows, [group.number], [dotted], use_threads=False):
            values = batch.column(str(column.flat.path[0]))
            for step in column.flat.path[1:]:
                values = pc.struct_field(values, [step])
            yield values
    except (pa.ArrowException, OSError) as error:
        raise unreadable(file.address, error, f"row group {group.number}, column {column.flat.name!r}") from error
