"""Rows of Parquet files, decoded by row group."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import gt
from typing import BinaryIO, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emberharmony.arrow import ticks
from emberharmony.errors import DataError
from emberharmony.features.columns import ROW_NUMBER
from emberharmony.io.sources.base import no_rows
from emberharmony.io.sources.parquet.decoding import damaged_column, decoded, open_parquet
from emberharmony.io.sources.parquet.files import ByteRange
from emberharmony.io.sources.parquet.footers import FooteredFile, RowGroup, open_unchanged, stored_ranges, unreadable
from emberharmony.io.sources.parquet.table import ParquetTable
from emberharmony.io.sources.rows import rows_between, rows_of_times, sorted_rows
from emberharmony.io.sources.text_budget import TextBudget
from emberharmony.nested import Path, flat_values
from emberharmony.planning.chunks import Chunk
from emberharmony.threads import compute_threads, in_parallel
from emberharmony.typing import IntArray

T = TypeVar("T")

_JOINED_BYTES = 2**21  # of small pieces that are joined; a larger piece stays as it is
_WHOLE_BYTES = 2**18  # of a file that is read as a whole
_TIMES_AT_ONCE = 2**18  # rows whose times a thread decodes at a time
_MIN_BATCH_ROWS = 16_384
_MAX_BATCH_ROWS = 65_536


def read_chunk(
    source: ParquetTable, chunk: Chunk, columns: Sequence[str], *, time: str | None, texts: TextBudget | None = None
) -> pa.Table:
    """Return exactly the chunk's rows, sorted by `time` if it is given, with their row numbers; see `Source.read`."""
    if not chunk.n_rows:
        return no_rows(source.schema, columns)
    source.check_readable(columns)
    names = list(dict.fromkeys([*columns, time] if time else columns))
    pieces = _rows_of_range(source, chunk, names) if chunk.times is None else _rows_of_times(source, chunk, names, time)
    metered = pieces if texts is None else texts.metered(pieces, chunk, str(source.spec))
    table = pa.concat_tables(_joined(piece for piece in metered if piece.num_rows))
    if table.num_rows != chunk.n_rows:
        raise DataError(
            f"{source.spec}: {chunk} was planned with {chunk.n_rows:,} rows and has {table.num_rows:,}; the files "
            f"have changed since the plan. Start again with --overwrite."
        )
    return (table if time is None else sorted_rows(table, time)).select([ROW_NUMBER, *columns])


def _joined(pieces: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield small pieces joined into larger ones: thousands take more memory than their rows, and slow down every step."""
    for small in _together(pieces, lambda piece: (piece.nbytes,), (_JOINED_BYTES,)):
        yield pa.concat_tables(small).combine_chunks()  # a single piece is not copied


def _together(
    pieces: Iterable[T],
    sizes: Callable[[T], tuple[int, ...]],
    most: tuple[int, ...],
    adjoin: Callable[[T, T], bool] = lambda before, after: True,
) -> Iterator[list[T]]:
    """Yield lists of neighbours, whose sizes add up to no more than `most`; a larger piece is in a list of its own."""
    some, sums = list[T](), (0,) * len(most)
    for piece in pieces:
        added = sizes(piece)
        sums = tuple(map(sum, zip(sums, added, strict=True)))
        if some and (any(map(gt, sums, most)) or not adjoin(some[-1], piece)):
            yield some
            some, sums = [], added
        some.append(piece)
    if some:
        yield some


def times_of_groups(source: ParquetTable, groups: Sequence[RowGroup], time: str) -> Iterator[tuple[IntArray, int]]:
    """Yield the times of row groups that are not null, and the number of those that are, in order.

    Several threads decode files of a disk. Of a bucket's files, the next groups are read ahead while one thread decodes.
    """

    def times_of(some: Sequence[RowGroup]) -> list[tuple[IntArray, int]]:
        found = (ticks(table[time])[:2] for table, _ in read_groups(source, some, [time]))
        return [(times, 0) if missing is None else (times[~missing], int(missing.sum())) for times, missing in found]

    is_read_ahead = any(source.listed[group.file].read_ahead_bytes for group in groups)
    runs = [groups] if is_read_ahead else list(_together(groups, lambda group: (group.n_rows,), (_TIMES_AT_ONCE,)))
    for found in in_parallel(times_of, runs, min(len(runs), compute_threads())):
        yield from found


def has_value(source: ParquetTable, groups: Sequence[RowGroup], column: str) -> bool:
    """Whether a row of these groups has a value in `column`; reads until one has."""
    batches = (rows for rows, _ in read_groups(source, groups, [column], _MIN_BATCH_ROWS))
    return any(rows[column].null_count < rows.num_rows for rows in batches)


def read_groups(
    source: ParquetTable,
    groups: Sequence[RowGroup],
    columns: Sequence[str],
    at_once: int | None = None,
    stop: int | None = None,
) -> Iterator[tuple[pa.Table, int]]:
    """Yield the rows of row groups as tables, each with the number of its first row, up to row `stop` of the table.

    A group of more than `at_once` rows is decoded piece by piece: memory follows the chunk, however large its groups are.
    Small groups that follow one another are joined. While a server is waited for, the next groups are read ahead.

    Raises
    ------
    DataError
        If a file is damaged, or a value does not fit the type that its column has in the table; the message names both.
    """

    def needed(group: RowGroup) -> list[ByteRange]:
        # Piece by piece, reading ends with the piece that holds row `stop`.
        is_cut = stop is not None and at_once is not None and group.n_rows > max(at_once, _MIN_BATCH_ROWS)
        last = min(group.n_rows, stop - group.first_row + _MAX_BATCH_ROWS) if is_cut and stop is not None else group.n_rows
        return _needed(source, group, columns, share=last / group.n_rows)

    def opened(group: RowGroup) -> tuple[RowGroup, BinaryIO]:
        return group, open_unchanged(source.files[group.file], f"row group {group.number}", needed(group))

    kind_of = _kinds(source, columns)
    pieces = (
        piece
        for group, handle in in_parallel(opened, groups, _n_ahead(source, groups, needed))
        for piece in row_batches(source, group, kind_of(group.file), handle, at_once, stop)
    )
    # Making columns takes as long for one row as for thousands. The sizes of buffers take a thirtieth of the time of `nbytes`.
    most = (_JOINED_BYTES, sys.maxsize if at_once is None else at_once)
    adjoining = _together(pieces, lambda it: (it.rows.get_total_buffer_size(), it.rows.num_rows), most, _Piece.adjoins)
    return map(_made, adjoining)


def _kinds(source: ParquetTable, columns: Sequence[str]) -> Callable[[int], RowsOfFile]:
    """Return what makes the columns of a file, given its number: the same for files that hold the same columns."""
    made = dict[int, RowsOfFile]()

    def kind_of(file: int) -> RowsOfFile:
        key = id(source.columns.of_file(file))
        if key not in made:
            made[key] = RowsOfFile(source, file, columns)
        return made[key]

    return kind_of


def _n_ahead(source: ParquetTable, groups: Sequence[RowGroup], needed: Callable[[RowGroup], list[ByteRange]]) -> int:
    """Return how many row groups are read at the same time, within the memory for reading ahead."""
    files = [source.listed[group.file] for group in groups]
    most = min(len(files), max((file.parallel_reads for file in files), default=1))
    if most <= 1:
        return 1
    largest = max(sum(part.n_bytes for part in needed(group)) for group in groups)
    return max(1, min(most, max(file.read_ahead_bytes for file in files) // max(1, largest)))


def _needed(source: ParquetTable, group: RowGroup, columns: Sequence[str], *, share: float) -> list[ByteRange]:
    """Return what reading columns of a row group, or of the first share of its rows, reads of its file."""
    if not source.listed[group.file].read_ahead_bytes:
        return []
    stored = source.columns.of_file(group.file)
    held = (stored[name] for name in columns if name in stored and name not in source.partitions)
    leaves = dict.fromkeys(leaf for column in held for leaf in column.leaves)
    return stored_ranges(source.files[group.file], group.number, leaves, share=share)


class _Piece(NamedTuple):
    """Rows as Arrow has read them."""

    rows: pa.Table
    file: int
    first: int  # number of the first row
    kind: RowsOfFile

    def adjoins(self, other: _Piece) -> bool:
        """Whether the other rows follow these, in a file like this one. Rows without a column cannot be joined."""
        follows = self.first + self.rows.num_rows == other.first and self.rows.num_columns > 0
        return follows and self.kind is other.kind and self.rows.schema == other.rows.schema


def _made(pieces: Sequence[_Piece]) -> tuple[pa.Table, int]:
    """Return the table's columns of adjoining pieces, and the number of the first row."""
    kind = pieces[0].kind
    joined = pieces[0].rows if len(pieces) == 1 else pa.concat_tables(piece.rows for piece in pieces).combine_chunks()
    try:
        return kind.table(joined, [(piece.file, piece.rows.num_rows) for piece in pieces]), pieces[0].first
    except DataError:
        for piece in pieces:
            kind.table(piece.rows, [(piece.file, piece.rows.num_rows)])  # raises the error of the file that it is about
        raise


def row_batches(
    source: ParquetTable, group: RowGroup, kind: RowsOfFile, handle: BinaryIO, at_once: int | None, stop: int | None
) -> Iterator[_Piece]:
    """Yield a row group's rows as Arrow reads them, in one or more pieces; see `read_groups`. Closes the file."""
    file, stored = source.files[group.file], list(dict.fromkeys(kind.dotted.values()))
    at_once = group.n_rows if at_once is None else max(at_once, _MIN_BATCH_ROWS)
    if kind.has_vectors and source.vector_batch_rows:  # in memory as lists and as columns: batch by batch
        at_once = min(at_once, source.vector_batch_rows)
    with handle:
        try:
            if group.n_rows <= at_once:
                rows = _opened(file, handle).read_row_group(group.number, stored, use_threads=False)
                yield _Piece(rows, group.file, group.first_row, kind)
                return
            parquet = open_parquet(handle, file.metadata, piecewise=True)
            first, batch_rows = group.first_row, min(at_once, _MAX_BATCH_ROWS)
            for batch in parquet.iter_batches(batch_rows, [group.number], stored, use_threads=False):
                yield _Piece(pa.Table.from_batches([batch]), group.file, first, kind)
                first += batch.num_rows
                if stop is not None and first >= stop:
                    return
        except (pa.ArrowException, OSError) as error:
            where = f"row group {group.number}"
            if not isinstance(error, OSError) or error.errno is None:  # Arrow's own error, not the system's
                damaged = damaged_column(handle, file.metadata, group.number, kind.dotted)
                where += f", column {damaged!r}" if damaged else ""
            raise unreadable(file.address, error, where) from error


def _opened(file: FooteredFile, handle: BinaryIO) -> pq.ParquetFile:
    """Open a file; a small one on a disk is read as a whole, which takes less than to decode its footer apart."""
    if file.file.read_ahead_bytes or file.version.n_bytes > _WHOLE_BYTES:
        return open_parquet(handle, file.metadata)
    return open_parquet(pa.BufferReader(handle.read()), None, in_memory=True)


class RowsOfFile:
    """Makes the table's columns of the rows of files that hold the same columns.

    Parameters
    ----------
    source : ParquetTable
        The table.
    file : int
        The number of one of the files.
    columns : sequence of str
        The columns to make, in order.

    Attributes
    ----------
    dotted : dict of str to str
        The path of each column that the file holds, as Arrow's reader takes it.
    has_vectors : bool
        Whether a column is an element of fixed-size lists.
    """

    def __init__(self, source: ParquetTable, file: int, columns: Sequence[str]) -> None:
        stored = source.columns.of_file(file)
        self._files, self._origins = source.files, source.columns.origins
        self._schema = pa.schema([source.fields[name] for name in columns])
        self._folders = {name: values for name, values in source.partitions.items() if name in columns}
        held = {name: stored[name] for name in columns if name in stored and name not in self._folders}
        self.dotted = {name: column.dotted for name, column in held.items()}
        self.has_vectors = any(column.is_element for column in held.values())
        self._inner: dict[str, dict[str, Path]] = {}
        for name, column in held.items():
            self._inner.setdefault(str(column.flat.path[0]), {})[name] = column.flat.path[1:]

    def table(self, rows: pa.Table, parts: Sequence[tuple[int, int]]) -> pa.Table:
        """Return the columns of some rows as Arrow has read them.

        Parameters
        ----------
        rows : pyarrow.Table
            Rows of one or more files.
        parts : sequence of (int, int)
            The number of each file, and its number of rows; errors name the first.

        Raises
        ------
        DataError
            If a value does not fit the type that its column has in the table.
        """
        address, values = self._files[parts[0][0]].address, dict[str, pa.ChunkedArray]()
        for outer, paths in self._inner.items():
            values |= dict(zip(paths, flat_values(rows[outer], list(paths.values())), strict=True))
        arrays = []
        for name, type_ in zip(self._schema.names, self._schema.types, strict=True):
            if name in values:
                arrays.append(decoded(values[name], name, type_, address, other=self._origins.get(name)))
            elif name in self._folders:
                arrays.append(self._folders[name].take(pa.array(np.repeat(*np.transpose(parts)))))
            else:
                arrays.append(pa.nulls(rows.num_rows, type_))
        # Without a column, only the rows that Arrow has read know their number.
        return pa.Table.from_arrays(arrays, schema=self._schema) if arrays else rows.select([])


def _rows_of_range(source: ParquetTable, chunk: Chunk, columns: list[str]) -> Iterator[pa.Table]:
    start, stop = chunk.first_row, chunk.first_row + chunk.n_rows
    for piece, first in read_groups(source, source.groups_of_rows(start, stop), columns, chunk.n_rows, stop):
        if first + piece.num_rows > start:  # a slice keeps all of its batch alive, even an empty one
            yield rows_between(piece, first, start, stop)


def _rows_of_times(source: ParquetTable, chunk: Chunk, columns: list[str], time: str | None) -> Iterator[pa.Table]:
    assert time is not None
    assert chunk.times is not None
    start, stop = chunk.times
    for piece, first in read_groups(source, source.groups_between(time, (start, stop)), columns, chunk.n_rows):
        yield rows_of_times(piece, first, time, start, stop)
