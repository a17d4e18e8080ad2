"""The chunks of a table in the job's order, found from its metadata and, if rows have to be sorted, from counts of times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from emberharmony.errors import DataError
from emberharmony.features.columns import ColumnSpec
from emberharmony.io.sources.base import RowOrder, Source, TimeCounts, TimeRange
from emberharmony.io.sources.capabilities import RowGroups, TiesOrdered
from emberharmony.messages import rows_without
from emberharmony.planning.chunks import (
    NO_ROWS,
    Chunk,
    TimeBucket,
    cut_rows,
    cut_times,
    joined,
    least_shared,
    time_buckets,
)
from emberharmony.planning.time_ranks import bucket_at_rank, times_in_buckets
from emberharmony.threads import in_parallel
from emberharmony.typing import IntArray

COUNTS_AT_ONCE = 8  # queries at a time for the rows of crowded times


@dataclass(frozen=True)
class Layout:
    """A table's rows in the job's order."""

    chunks: Sequence[Chunk]
    times_at_ranks: Callable[[Sequence[int]], list[int]]
    """Times of the rows at some ranks; the rows have a time column."""
    in_order: bool
    """Whether the rows are stored in the job's order."""
    n_null: int = 0
    """Rows without a time, which are left out."""
    n_shared: int = 0
    """Least number of rows that share their time with another row."""
    inputs: Sequence[Chunk] = ()
    """Pieces of the table, as it is stored, whose rows are arranged first; none if chunks are read from the table."""

    @property
    def n_rows(self) -> int:
        """Rows of all chunks."""
        return sum(chunk.n_rows for chunk in self.chunks)


def groups_in_order(source: Source, time: str | None) -> IntArray | None:
    """Return the rows of each row group if the groups are stored in the job's order, else ``None``."""
    return source.row_groups(time) if isinstance(source, RowGroups) else None


def is_stored_in_order(source: Source, groups: IntArray | None, time: str | None, chunk_rows: int) -> bool:
    """Whether the rows can be read as they are stored, in chunks of `chunk_rows` rows."""
    if groups is None or not isinstance(source, RowGroups):
        return False
    return time is None or source.is_sorted_within(time, chunk_rows)


def empty_layout() -> Layout:
    """Return the layout of a table without rows."""
    return Layout([NO_ROWS], _no_times, in_order=True)


def stored_layout(source: Source, groups: IntArray, time: str | None, chunk_rows: int) -> Layout:
    """Return the layout of rows that are stored in the job's order: chunks are ranges of rows, and nothing is counted."""
    assert isinstance(source, RowGroups)
    chunks, row_groups = cut_rows(groups, chunk_rows), source
    if time is None:
        return Layout(chunks, _no_times, in_order=True)

    def at_rank(rank: int) -> int:
        times, first_row = row_groups.times_of_rows(time, rank, rank + 1)
        return int(np.sort(times)[rank - first_row])

    def at_ranks(ranks: Sequence[int]) -> list[int]:
        return list(in_parallel(at_rank, ranks, len(ranks)))

    order = source.order(time)
    assert order is not None
    span = source.time_range(time)
    whole = TimeBucket(span.first, span.last + order.resolution, int(groups.sum()))
    return Layout(chunks, at_ranks, in_order=True, n_shared=least_shared([whole], resolution=order.resolution))


def sorted_layout(source: Source, columns: ColumnSpec, chunk_rows: int) -> Layout:
    """Return the layout of rows that have to be sorted: chunks are ranges of the time column, or of the table's key.

    Raises
    ------
    DataError
        If rows have no time or key, and may not be left out.
    """
    order = source.order(columns.time)
    assert order is not None
    span = source.time_range(order.column)
    check_nulls(order.column, span, columns)
    buckets = counted_buckets(source, order, span, chunk_rows)
    n_shared = least_shared(buckets, resolution=order.resolution) if columns.time else 0
    buckets = _with_ties_counted(source, order, buckets, chunk_rows)

    def at_ranks(ranks: Sequence[int]) -> list[int]:
        found = [bucket_at_rank(buckets, rank) for rank in ranks]
        return times_in_buckets(found, partial(source.times_between, order.column), resolution=order.resolution)

    return Layout(cut_times(buckets, chunk_rows), at_ranks, in_order=False, n_null=span.n_null, n_shared=n_shared)


def _no_times(ranks: Sequence[int]) -> list[int]:
    raise AssertionError(f"A table without times has none at ranks {ranks}.")


def check_nulls(by: str, span: TimeRange, columns: ColumnSpec) -> None:
    """Refuse rows without a time or key, unless they may be left out.

    Raises
    ------
    DataError
        If there are some.
    """
    if span.n_null and columns.time is None:
        raise DataError(f"{rows_without('key', by, span.n_null)} Choose another key, or fill it in the source.")
    check_times(columns, n_null=span.n_null)


def check_times(columns: ColumnSpec, *, n_null: int, order: str = "the order") -> None:
    """Refuse rows without a time, unless they may be left out.

    Raises
    ------
    DataError
        If `n_null` rows have none.
    """
    if n_null and columns.time is not None and columns.null_time == "error":
        raise DataError(
            f"{rows_without('time', columns.time, n_null, order=order)} Leave them out (`columns.null_time: drop`), or fill "
            f"them in the source."
        )


def check_entities(columns: ColumnSpec, *, n_rows: int, n_null: int) -> None:
    """Refuse an entity that is null in all rows.

    Raises
    ------
    DataError
        If `n_null` rows of `n_rows`, without any entity, are all.
    """
    if not n_rows:
        raise DataError(f"The time column {columns.time!r} holds no time in any of its rows.")
    if n_null == n_rows:
        names = ", ".join(columns.entities)
        raise DataError(
            f"The entity {names} is null in every row, so all rows would be one series. Name another column in "
            f"`columns.entity`, or leave it out."
        )


def counted_buckets(source: TimeCounts, order: RowOrder, span: TimeRange, chunk_rows: int) -> list[TimeBucket]:
    """Return the rows counted by what orders them, finely enough to fill chunks to fifteen sixteenths."""
    together = chunk_rows // 16
    fine = time_buckets(
        lambda start, width, n_buckets: source.count_times(order.column, start, width, n_buckets),
        span.first,
        span.last,
        max_rows=max(chunk_rows // 2, 1),
        resolution=order.resolution,
        partitions=order.partitions,
        together=together,
    )
    return list(joined(fine, max_rows=together))  # a quarter of a million buckets would be 40 MB


def _with_ties_counted(source: Source, order: RowOrder, buckets: list[TimeBucket], chunk_rows: int) -> list[TimeBucket]:
    """Divide buckets of a single time that exceed a chunk by the rows' second order, if they have one."""
    then = order.then
    if then is None:
        return buckets
    crowded = [bucket for bucket in buckets if bucket.n_rows > chunk_rows]
    with ThreadPoolExecutor(COUNTS_AT_ONCE) as pool:
        divided = pool.map(lambda bucket: _divided(source, order.column, then, bucket, chunk_rows), crowded)
        parts = dict(zip(crowded, divided, strict=True))
    return [part for bucket in buckets for part in parts.get(bucket, [bucket])]


def _divided(source: Source, by: str, then: RowOrder, crowd: TimeBucket, chunk_rows: int) -> list[TimeBucket]:
    assert isinstance(source, TiesOrdered)
    inside = source.within(by, crowd.start, crowd.stop)
    span = inside.time_range(then.column)
    if span.n_null:  # rows without a value are in no range
        return [crowd]
    parts = counted_buckets(inside, then, span, chunk_rows)
    return [crowd._replace(n_rows=part.n_rows, ties=(part.start, part.stop)) for part in parts]
