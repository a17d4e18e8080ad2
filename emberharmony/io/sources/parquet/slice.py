"""The rows of a slice in a table of Parquet files: of the files that hold some, as their footers say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Self

import numpy as np

from emberharmony.io.sources.base import TableInfo, TimeRange
from emberharmony.io.sources.parquet.catalogue import Catalogue
from emberharmony.io.sources.parquet.read import times_of_groups
from emberharmony.io.sources.parquet.source import ParquetSource
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.io.sources.time_rows import TimeRows
from emberharmony.planning.chunks import count_in_buckets
from emberharmony.typing import IntArray


class ParquetSlice(ParquetSource):
    """The rows of a table whose times lie in a range. Only files that may hold such rows belong to it, and to its identity.

    Rows are numbered within those files. If all rows of the files belong to the slice, they are read as those of any table;
    otherwise by ranges of time.
    """

    def __init__(self, spec: ParquetSourceSpec, rows: TimeRows, catalogue: Catalogue | None = None) -> None:
        super().__init__(spec, catalogue)
        self._rows = rows

    def with_catalogue(self, content: bytes) -> Self:
        """Return the rows as they were when they were planned; see `ParquetSource.with_catalogue`."""
        return type(self)(self._table.spec, self._rows, Catalogue.from_bytes(content, self._table.places))

    def describe(self) -> TableInfo:
        """Return the description of the rows of the slice; reads their times unless all rows of their files belong to it."""
        table = super().describe()
        identity = {**table.identity, "rows": [str(self._rows.start), str(self._rows.stop)]}
        return replace(table, n_rows=table.n_rows if self._is_whole else self._n_rows, identity=identity)

    def row_groups(self, time: str | None) -> IntArray | None:
        """Return the rows of each group, unless some of them belong to other slices: then rows are read by time."""
        return super().row_groups(time) if self._is_whole else None

    def time_range(self, time: str) -> TimeRange:
        """Return the first and last time of the slice, as far as footers tell, and the rows of its files without a time."""
        whole = super().time_range(time)
        start, stop = self._ticks
        return replace(whole, first=max(whole.first, start), last=min(whole.last, stop - 1))

    def count_times(self, time: str, start: int, width: int, n_buckets: int) -> IntArray:
        """Count the rows of the slice in each bucket of time."""
        counts = np.zeros(n_buckets, np.int64)
        for times in self._times(start, start + width * n_buckets):
            count_in_buckets(counts, times, start, width)
        return counts

    def times_between(self, time: str, ranges: Sequence[tuple[int, int]]) -> list[IntArray]:
        """Return all times of the slice in each of some ranges ``[start, stop)``."""
        return super().times_between(self._rows.column, [self._within(*times) for times in ranges])

    def _times(self, start: int, stop: int) -> Iterator[IntArray]:
        """Yield the times of the slice in a range, row group by row group."""
        (first, end), column = self._within(start, stop), self._rows.column
        for times, _ in times_of_groups(self._table, self._table.groups_between(column, (first, end)), column):
            yield times[(times >= first) & (times < end)]

    def _within(self, start: int, stop: int) -> tuple[int, int]:
        """Return the part of a range of times that lies in the slice."""
        first, end = self._ticks
        return max(first, start), min(end, stop)

    @cached_property
    def _n_rows(self) -> int:
        return sum(map(len, self._times(*self._ticks)))

    @cached_property
    def _is_whole(self) -> bool:
        """Whether all rows of the files are rows of the slice."""
        ranges = self._table.group_times(self._rows.column)
        if ranges is None:
            return False
        first, last, n_null = ranges
        start, stop = self._ticks
        return bool((first >= start).all() and (last < stop).all()) and not n_null.any()

    @property
    def _ticks(self) -> tuple[int, int]:
        return self._rows.ticks(self._table.schema.field(self._rows.column).type)
