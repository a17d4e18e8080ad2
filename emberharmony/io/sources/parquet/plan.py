"""What planning asks of Parquet files: their order and counts of times, from footers where these have statistics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from emberharmony.arrow import tick_resolution
from emberharmony.errors import DataError
from emberharmony.io.sources.base import RowOrder, TimeRange
from emberharmony.io.sources.parquet.read import has_value, times_of_groups
from emberharmony.io.sources.parquet.table import ParquetTable
from emberharmony.io.sources.rows import is_sorted
from emberharmony.planning.chunks import Chunk, count_in_buckets, in_range
from emberharmony.typing import IntArray


class ParquetPlanning:
    """Answers about a table in Parquet files, see `Source` and `RowGroups`."""

    def __init__(self, table: ParquetTable) -> None:
        self._table = table

    def order(self, time: str | None) -> RowOrder | None:
        """By `time`; without one, rows keep the order of their files and row groups."""
        return RowOrder(time, tick_resolution(self._table.schema.field(time).type)) if time is not None else None

    def is_all_null(self, column: str) -> bool:
        """Whether no row has a value in `column`; row groups without statistics are read until one has a value."""
        table = self._table
        type_ = table.schema.field(column).type
        if column in table.partitions or pa.types.is_nested(type_) or pa.types.is_null(type_):
            return bool(pa.types.is_null(type_))
        unknown = []
        for group, n_null in table.group_nulls(column):
            if n_null is None:
                unknown.append(group)
            elif n_null < group.n_rows:
                return False
        return not has_value(table, unknown, column)

    def row_groups(self, time: str | None) -> IntArray | None:
        """Return the rows of each row group if the groups follow one another in time, or if there is no time."""
        n_rows = np.array([group.n_rows for group in self._table.groups], np.int64)
        if time is None:
            return n_rows
        ranges = self._table.group_times(time)
        if ranges is None:
            return None
        first, last, n_null = ranges
        in_order = bool((last[:-1] <= first[1:]).all()) and not n_null.any()
        return n_rows if in_order else None

    def is_sorted_within(self, time: str, chunk_rows: int) -> bool:
        """Whether row groups of more than `chunk_rows` rows are in time order inside."""
        large = [group for group in self._table.groups if group.n_rows > chunk_rows]
        return all(is_sorted(present) for present, _ in times_of_groups(self._table, large, time))

    def time_range(self, time: str) -> TimeRange:
        """Return first and last time, from the footers where they have statistics, else from the column."""
        ranges = self._table.group_times(time)
        if ranges is not None:
            first, last, n_null = ranges
            return TimeRange(int(first.min()), int(last.max()), int(n_null.sum()))
        lows, highs, nulls = [], [], 0
        for present, n_missing in times_of_groups(self._table, self._table.groups, time):
            nulls += n_missing
            if len(present):
                lows.append(int(present.min()))
                highs.append(int(present.max()))
        if not lows:
            raise DataError(f"The time column {time!r} holds no time in any of its rows.")
        return TimeRange(min(lows), max(highs), nulls)

    def count_times(self, time: str, start: int, width: int, n_buckets: int) -> IntArray:
        """Count the rows in each bucket of time; reads the time column of the row groups in the range."""
        counts = np.zeros(n_buckets, np.int64)
        groups = self._table.groups_between(time, (start, start + width * n_buckets))
        for present, _ in times_of_groups(self._table, groups, time):
            count_in_buckets(counts, present, start, width)
        return counts

    def times_between(self, time: str, ranges: Sequence[tuple[int, int]]) -> list[IntArray]:
        """Return all times in each of some ranges ``[start, stop)``; reads every row group once."""
        found = [[np.empty(0, np.int64)] for _ in ranges]
        for present, _ in times_of_groups(self._table, self._table.groups_between(time, *ranges), time):
            for inside, (start, stop) in zip(found, ranges, strict=True):
                inside.append(present[in_range(present, start, stop)])
        return [np.concatenate(inside) for inside in found]

    def rows_touched(self, time: str, ranges: Sequence[tuple[int, int]]) -> int:
        """Return the rows of the groups whose statistics overlap each range of time, added up."""
        return sum(group.n_rows for start, stop in ranges for group in self._table.groups_between(time, (start, stop)))

    def times_of_rows(self, time: str, start: int, stop: int) -> tuple[IntArray, int]:
        """Return the times of the row groups that hold rows ``[start, stop)``, and the number of their first row."""
        groups = self._table.groups_of_rows(start, stop)
        return np.concatenate([times for times, _ in times_of_groups(self._table, groups, time)]), groups[0].first_row

    def times_of(self, chunk: Chunk, time: str) -> tuple[int, int] | None:
        """Return the chunk's range of times, or that of its row groups, if their statistics tell it."""
        return chunk.times or self._table.range_of_rows(time, chunk.ranks.start, chunk.ranks.stop)
