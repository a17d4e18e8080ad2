"""Planning chunks of rows that a server keeps in the order of many series: ranges of the keys that it has computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import numpy as np

from emberharmony.features.columns import ColumnSpec
from emberharmony.io.sources.base import KEY_BITS, RowOrder, Source, TimeRange
from emberharmony.io.sources.capabilities import ArrangedByServer
from emberharmony.pipeline.layout import COUNTS_AT_ONCE, Layout, check_entities, check_nulls, counted_buckets
from emberharmony.planning.chunks import LAST_TICK, TimeBucket, cut_times
from emberharmony.planning.time_ranks import bucket_at_rank, times_in_buckets
from emberharmony.stats.key_counts import MAX_RANGES, KeyCounts

_RANGE_BITS = MAX_RANGES.bit_length() - 1


def is_arranged(source: Source) -> bool:
    """Whether the rows of a source are read from a copy in the order of the job's series."""
    return isinstance(source, ArrangedByServer) and source.is_arranged


def arranging_setting(source: Source) -> str | None:
    """Name of the setting that says where the server may arrange the rows of a source; ``None`` if it cannot."""
    return source.arranging_setting if isinstance(source, ArrangedByServer) else None


def server_layout(source: Source, columns: ColumnSpec, chunk_rows: int) -> Layout:
    """Return the layout of rows that the server has arranged by series; all rows are counted there.

    Raises
    ------
    DataError
        If rows have no time or key, and may not be left out, or all of them lack an entity.
    """
    assert isinstance(source, ArrangedByServer)
    order = source.order(None)
    assert order is not None
    assert order.then is not None
    then, totals = order.then, source.series_totals()
    check_nulls(then.column, totals.ties, columns)
    counts = source.count_keys(0 if 2 * totals.n_entities <= MAX_RANGES else KEY_BITS - _RANGE_BITS)
    n_rows = int(counts.counts.sum())
    check_entities(columns, n_rows=n_rows, n_null=totals.n_entities_null)
    buckets = sorted(_buckets_of_keys(source, [counts], chunk_rows))
    buckets = list(_divided(source, order, buckets, totals.ties, chunk_rows))

    @cache
    def times() -> list[TimeBucket]:
        return counted_buckets(source, then, totals.ties, chunk_rows)

    def at_ranks(ranks: Sequence[int]) -> list[int]:
        found = [bucket_at_rank(times(), rank) for rank in ranks]
        return times_in_buckets(found, partial(source.times_between, then.column), resolution=then.resolution)

    return Layout(cut_times(buckets, chunk_rows), at_ranks, in_order=True, n_null=totals.ties.n_null)


def _buckets_of_keys(source: ArrangedByServer, parts: Sequence[KeyCounts], chunk_rows: int) -> Iterator[TimeBucket]:
    """Yield ranges of keys of at most a chunk's rows each, or of a single key.

    Ranges of more rows are counted more finely, all of them at once.
    """
    shift, small = parts[0].shift, max(chunk_rows // 16, 1)
    buckets = [TimeBucket(*found) for part in parts for found in part.joined(small)]
    wide = [bucket for bucket in buckets if shift and bucket.n_rows > chunk_rows]
    yield from (bucket for bucket in buckets if not shift or bucket.n_rows <= chunk_rows)
    if wide:
        finer = max(0, shift - max(1, _RANGE_BITS - (len(wide) - 1).bit_length()))
        found = source.count_keys(finer, inside=[bucket.start >> shift for bucket in wide], of_shift=shift)
        ends = np.flatnonzero(np.diff(found.keys >> (shift - finer))) + 1
        inner = zip(np.split(found.keys, ends), np.split(found.counts, ends), strict=True)
        yield from _buckets_of_keys(source, [KeyCounts(*part, finer) for part in inner], chunk_rows)


def _divided(
    source: ArrangedByServer, order: RowOrder, buckets: Sequence[TimeBucket], span: TimeRange, chunk_rows: int
) -> Iterator[TimeBucket]:
    """Yield the buckets; those of a single entity that exceeds a chunk are divided by what orders its rows."""
    then, large = order.then, [bucket.start for bucket in buckets if bucket.n_rows > chunk_rows]
    assert then is not None
    steps = (span.last - span.first) // then.resolution + 1
    width = -(-steps // max(MAX_RANGES // max(len(large), 1), 1)) * then.resolution
    counts = source.count_ties(large, span.first, width, -(-(steps * then.resolution) // width)) if large else {}

    def finer(bucket: TimeBucket) -> list[TimeBucket]:
        """Count the rows of a range that still exceeds a chunk on their own: many of an entity's rows at close times."""
        assert bucket.ties is not None
        inside = source.within(order.column, bucket.start, bucket.stop)
        start, stop = bucket.ties
        parts = counted_buckets(inside, then, TimeRange(start, min(stop, span.last + 1) - 1, 0), chunk_rows)
        return [bucket._replace(n_rows=part.n_rows, ties=(part.start, part.stop)) for part in parts]

    with ThreadPoolExecutor(COUNTS_AT_ONCE) as pool:
        for bucket in buckets:
            if bucket.n_rows <= chunk_rows:
                yield bucket
                continue
            ranges = list(counts[bucket.start].joined(max(chunk_rows // 16, 1)))
            ties = [(span.first + first * width, min(span.first + stop * width, LAST_TICK)) for first, stop, _ in ranges]
            parts = [bucket._replace(n_rows=n, ties=of) for of, (_, _, n) in zip(ties, ranges, strict=True)]
            crowds = [part for part in parts if part.n_rows > chunk_rows and width > then.resolution]
            divided = dict(zip(crowds, pool.map(finer, crowds), strict=True))
            yield from (part for some in parts for part in divided.get(some, [some]))
