"""Tables in Parquet files: planned from their footers, read by row groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from emberharmony.arrow import TICKS_PER_DAY, text_columns, tick_resolution, ticks
from emberharmony.errors import DataError
from emberharmony.features.columns import ROW_NUMBER
from emberharmony.features.table_types import FROM_FOLDERS
from emberharmony.io.sources.base import RowOrder, TableInfo, TimeRange, no_rows
from emberharmony.io.sources.parquet.decoding import damaged_column, decoded, open_parquet
from emberharmony.io.sources.parquet.folders import columns_of_folders
from emberharmony.io.sources.parquet.footers import (
    FooteredFile,
    RowGroup,
    leaves,
    open_footer,
    open_unchanged,
    refuse_other_schema,
    unreadable,
)
from emberharmony.io.sources.parquet.listing import ListedFile, list_files, would_take_in
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.io.sources.parquet.widths import stored_widths, text_widths
from emberharmony.io.sources.rows import is_sorted, rows_between, rows_of_times, sorted_rows
from emberharmony.io.sources.text_budget import TextBudget
from emberharmony.messages import listed
from emberharmony.planning.chunks import LAST_TICK, Chunk, count_in_buckets, in_range
from emberharmony.typing import IntArray

_MIN_BATCH_ROWS = 16_384
_MAX_BATCH_ROWS = 65_536


class ParquetSource:
    """A table of one or many Parquet files with one schema."""

    def __init__(self, spec: ParquetSourceSpec) -> None:
        self._spec = spec

    @cached_property
    def _listed(self) -> list[ListedFile]:
        return list_files(self._spec.places)

    @cached_property
    def _files(self) -> list[FooteredFile]:
        files = [open_footer(file.path) for file in self._listed]
        for file in files[1:]:
            refuse_other_schema(files[0].schema, file, files[0].path)
        return files

    @cached_property
    def _leaves(self) -> list[str]:
        """The column of every leaf, the same in all files."""
        return leaves(self._files[0])

    @cached_property
    def _groups(self) -> list[RowGroup]:
        groups, first_row = [], 0
        for i, file in enumerate(self._files):
            for number in range(file.metadata.num_row_groups):
                n_rows = file.metadata.row_group(number).num_rows
                if n_rows:
                    groups.append(RowGroup(i, number, first_row, n_rows))
                first_row += n_rows
        return groups

    @cached_property
    def _partitions(self) -> dict[str, pa.Array]:
        """A value for each file of every column that stands in the folders' names and not in the files."""
        own = self._files[0].schema.names
        found = columns_of_folders(self._listed)
        return {name: values for name, values in found.items() if name not in own}

    @cached_property
    def _schema(self) -> pa.Schema:
        schema = self._files[0].schema
        for name in sorted(frozenset().union(*(file.number_categories for file in self._files))):
            values = schema.field(name)
            schema = schema.set(schema.names.index(name), values.with_type(pa.dictionary(pa.int32(), values.type)))
        for name, values in self._partitions.items():
            schema = schema.append(pa.field(name, values.type, metadata=FROM_FOLDERS))
        if self._spec.columns is None:
            return schema
        unknown = [name for name in self._spec.columns if name not in schema.names]
        if unknown:
            raise DataError(f"source.columns names {listed(unknown)}, which {self._files[0].path} does not have.")
        return pa.schema([schema.field(name) for name in schema.names if name in self._spec.columns])

    def local_files(self) -> Sequence[Path]:
        """Files that the table is read from."""
        return [file.path for file in self._listed]

    def would_read(self, file: Path) -> bool:
        """Whether a file at this path would be part of the table."""
        return any(would_take_in(place, file) for place in self._spec.places)

    def describe(self) -> TableInfo:
        """Return the table's description, from its footers alone."""
        n_rows = sum(file.metadata.num_rows for file in self._files)
        identity = {
            "type": "parquet",
            "files": [[f.path.name, f.size, f.modified_ns, f.footer_digest] for f in self._files],
            "columns": self._schema.names,
            **{f"folder {name}": values.to_pylist() for name, values in self._partitions.items()},
        }
        stored = stored_widths(self._files, self._groups, self._leaves, self._schema)
        stored |= {name: 8.0 + values.nbytes / len(values) for name, values in self._partitions.items() if name in stored}
        texts = {name: self._leaves.index(name) for name in text_columns(self._schema) if name not in self._partitions}
        return TableInfo(
            self._schema,
            n_rows,
            identity,
            text_widths(self._files, self._groups, stored, texts),
            stored_bytes_per_row=stored,
            name=f"The table {self._spec}",
        )

    def order(self, time: str | None) -> RowOrder | None:
        """By `time`; without one, the rows of files and row groups follow one another."""
        return RowOrder(time, tick_resolution(self._schema.field(time).type)) if time is not None else None

    def is_all_null(self, column: str) -> bool:
        """Whether no row has a value in `column`; where a footer does not tell, rows are read until one has."""
        names = self._files[0].schema.names
        type_ = self._schema.field(column).type
        if column not in names or pa.types.is_nested(type_) or pa.types.is_null(type_):
            return bool(pa.types.is_null(type_))
        untold, leaf = [], self._leaves.index(column)
        for group in self._groups:
            metadata = self._files[group.file].metadata
            statistics = metadata.row_group(group.number).column(leaf).statistics
            if statistics is None or not statistics.has_null_count:
                untold.append(group)
            elif statistics.null_count < group.n_rows:
                return False
        batches = (rows for group in untold for rows, _ in self._batches(group, [column], _MIN_BATCH_ROWS))
        return all(rows[column].null_count == rows.num_rows for rows in batches)

    def row_groups(self, time: str | None) -> IntArray | None:
        """Rows of each row group if the groups follow one another in time (or no time is asked for)."""
        n_rows = np.array([group.n_rows for group in self._groups], np.int64)
        if time is None:
            return n_rows
        ranges = self._group_times(time)
        if ranges is None:
            return None
        first, last, n_null = ranges
        in_order = bool((last[:-1] <= first[1:]).all()) and not n_null.any()
        return n_rows if in_order else None

    def is_sorted_within(self, time: str, chunk_rows: int) -> bool:
        """Whether row groups of more than `chunk_rows` rows are in time order inside."""
        large = [group for group in self._groups if group.n_rows > chunk_rows]
        return all(is_sorted(self._ticks(group, time)[0]) for group in large)

    def time_range(self, time: str) -> TimeRange:
        """First and last time, from the footers where they have statistics, else from the column."""
        ranges = self._group_times(time)
        if ranges is not None:
            first, last, n_null = ranges
            return TimeRange(int(first.min()), int(last.max()), int(n_null.sum()))
        lows, highs, nulls = [], [], 0
        for group in self._groups:
            present, n_missing = self._ticks(group, time)
            nulls += n_missing
            if len(present):
                lows.append(int(present.min()))
                highs.append(int(present.max()))
        if not lows:
            raise DataError(f"The time column {time!r} holds no time in any of its rows.")
        return TimeRange(min(lows), max(highs), nulls)

    def count_times(self, time: str, start: int, width: int, n_buckets: int) -> IntArray:
        """Rows per bucket of time; reads the time column of the row groups in the range."""
        counts = np.zeros(n_buckets, np.int64)
        stop = start + width * n_buckets
        for group in self._groups_between(time, start, stop):
            counts += count_in_buckets(self._ticks(group, time)[0], start, width, n_buckets)
        return counts

    def times_between(self, time: str, start: int, stop: int) -> IntArray:
        """All times in ``[start, stop)``."""
        found = [np.empty(0, np.int64)]
        for group in self._groups_between(time, start, stop):
            present, _ = self._ticks(group, time)
            found.append(present[in_range(present, start, stop)])
        return np.concatenate(found)

    def times_of_rows(self, time: str, start: int, stop: int) -> tuple[IntArray, int]:
        """Times of the row groups that hold source rows ``[start, stop)``, and the number of their first row."""
        groups = [g for g in self._groups if g.first_row < stop and g.first_row + g.n_rows > start]
        return np.concatenate([self._ticks(group, time)[0] for group in groups]), groups[0].first_row

    def read(self, chunk: Chunk, columns: Sequence[str], *, time: str | None, texts: TextBudget | None = None) -> pa.Table:
        """Exactly the chunk's rows, sorted by time if there is one, with their row numbers."""
        names = list(dict.fromkeys([*columns, time] if time else columns))
        if not chunk.n_rows:
            return no_rows(self._schema, columns)
        if chunk.times is None:
            start, stop = chunk.first_row, chunk.first_row + chunk.n_rows
            groups = [g for g in self._groups if g.first_row < stop and g.first_row + g.n_rows > start]
            batches = (piece for group in groups for piece in self._batches(group, names, chunk.n_rows, stop))
            # A slice keeps all of its batch alive, an empty one too.
            pieces = (rows_between(piece, first, start, stop) for piece, first in batches if first + piece.num_rows > start)
        else:
            assert time is not None
            begin, end = chunk.times
            pieces = (
                rows_of_times(*piece, time, begin, end)
                for group in self._groups_between(time, begin, end)
                for piece in self._batches(group, names, chunk.n_rows)
            )
        metered = pieces if texts is None else texts.metered(pieces, chunk, str(self._spec))
        table = pa.concat_tables([piece for piece in metered if piece.num_rows])
        if table.num_rows != chunk.n_rows:
            raise DataError(
                f"{self._spec}: {chunk} was planned with {chunk.n_rows:,} rows and has {table.num_rows:,}; the files "
                f"have changed since the plan. Start again with --overwrite."
            )
        return (table if time is None else sorted_rows(table, time)).select([ROW_NUMBER, *columns])

    def _batches(
        self, group: RowGroup, columns: list[str], at_once: int | None = None, stop: int | None = None
    ) -> Iterator[tuple[pa.Table, int]]:
        """The group's rows as tables with the number of their first row, up to source row `stop`.

        A group of more than `at_once` rows is decoded piece by piece: memory follows the chunk, however large its groups are.
        """
        file = self._files[group.file]
        partitions = {name: values[group.file] for name, values in self._partitions.items() if name in columns}

        def whole(table: pa.Table) -> pa.Table:
            for name, value in partitions.items():
                table = table.append_column(name, pa.repeat(value, table.num_rows))
            return table

        columns = [name for name in columns if name not in partitions]
        with open_unchanged(file, f"row group {group.number}") as handle:
            try:
                if at_once is None or group.n_rows <= max(at_once, _MIN_BATCH_ROWS):
                    parquet = open_parquet(handle, file.metadata)
                    rows = parquet.read_row_group(group.number, columns, use_threads=False)
                    yield whole(decoded(rows.select(columns), self._schema, file.path)), group.first_row
                    return
                parquet = open_parquet(handle, file.metadata, piecewise=True)
                first, batch_rows = group.first_row, min(max(at_once, _MIN_BATCH_ROWS), _MAX_BATCH_ROWS)
                for batch in parquet.iter_batches(batch_rows, [group.number], columns, use_threads=False):
                    yield whole(decoded(pa.Table.from_batches([batch]).select(columns), self._schema, file.path)), first
                    first += batch.num_rows
                    if stop is not None and first >= stop:
                        return
            except (pa.ArrowException, OSError) as error:
                where = f"row group {group.number}"
                if not isinstance(error, OSError) or error.errno is None:  # not the system's
                    damaged = damaged_column(handle, file.metadata, group.number, columns)
                    where += f", column {damaged!r}" if damaged else ""
                raise unreadable(file.path, error, where) from error

    def _ticks(self, group: RowGroup, time: str) -> tuple[IntArray, int]:
        """The group's times that are not null, and how many are."""
        ((table, _),) = self._batches(group, [time])
        numbers, missing, _unit = ticks(table[time])
        return (numbers, 0) if missing is None else (numbers[~missing], int(missing.sum()))

    def _groups_between(self, time: str, start: int, stop: int) -> list[RowGroup]:
        ranges = self._group_times(time)
        if ranges is None:
            return self._groups
        first, last, _ = ranges
        no_end = stop >= LAST_TICK  # see `in_range`
        return [self._groups[i] for i in np.flatnonzero((last >= start) & ((first < stop) | no_end))]

    def _group_times(self, time: str) -> tuple[IntArray, IntArray, IntArray] | None:
        """First time, last time and nulls of every row group by its statistics; ``None`` if one has none."""
        if time not in self._time_statistics:
            self._time_statistics[time] = self._read_statistics(time)
        return self._time_statistics[time]

    @cached_property
    def _time_statistics(self) -> dict[str, tuple[IntArray, IntArray, IntArray] | None]:
        return {}

    def _read_statistics(self, time: str) -> tuple[IntArray, IntArray, IntArray] | None:
        scale = TICKS_PER_DAY["s"] if pa.types.is_date(self._schema.field(time).type) else 1  # files hold days
        leaf = self._leaves.index(time)
        lows, highs, nulls = [], [], []
        for group in self._groups:
            metadata = self._files[group.file].metadata
            statistics = metadata.row_group(group.number).column(leaf).statistics
            if statistics is None or not statistics.has_min_max or not statistics.has_null_count:
                return None
            # As they are stored: Python has no times before the year 1 or after 9999, and no nanoseconds.
            lows.append(statistics.min_raw * scale)
            highs.append(statistics.max_raw * scale)
            nulls.append(statistics.null_count)
        low, high, n_null = (np.array(values, np.int64) for values in (lows, highs, nulls))
        return low, high, n_null
