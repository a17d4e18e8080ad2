"""Planning the order of many series: one pass over the columns that decide it, and chunks that are ranges of keys.

A table whose rows lie series by series, each in time order, is read as it is stored. Any other is arranged: a stage of the job
partitions its rows by the planned ranges, and another one sorts each partition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from itertools import pairwise
from typing import Self, TypeVar

import numpy as np
import pyarrow as pa

from emberharmony.arrow import tick_resolution, tick_unit, ticks, ticks_of
from emberharmony.features.columns import ColumnSpec
from emberharmony.io.sources.base import Source
from emberharmony.io.sources.capabilities import RowGroups
from emberharmony.pipeline.layout import Layout, check_entities, check_times, sorted_layout, stored_layout
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.planning.chunks import LAST_TICK, Chunk, TimeBucket, cut_rows, cut_times
from emberharmony.planning.time_ranks import RankedBucket, times_in_buckets
from emberharmony.stats.key_counts import MAX_RANGES, KeyCounts
from emberharmony.stats.key_runs import KeyRuns
from emberharmony.steps.order import JobOrder
from emberharmony.threads import in_parallel
from emberharmony.typing import IntArray

T = TypeVar("T")

_SCATTERED = 2.0
"""Reading ranges of time from a table in another order may decode this many times its rows; beyond it, arranging is faster."""


def job_order(spec: PipelineSpec, schema: pa.Schema) -> JobOrder:
    """Return the order of a job's rows."""
    columns, gap = spec.columns, spec.windows.max_gap
    if gap is None or columns.time is None:
        return JobOrder(columns.entities, columns.time)
    return JobOrder(columns.entities, columns.time, ticks_of(gap, tick_unit(schema.field(columns.time).type)))


def input_chunks(source: Source, columns: ColumnSpec, rows: int) -> Sequence[Chunk]:
    """Return the pieces of a table, as it is stored, of at most so many rows that are partitioned at once."""
    groups = source.row_groups(None) if isinstance(source, RowGroups) else None
    return sorted_layout(source, columns, rows).chunks if groups is None else cut_rows(groups, rows)


def is_scattered(source: Source, time: str, layout: Layout) -> bool:
    """Whether reading the chunks of a layout decodes rows so often that arranging them first is faster."""
    if layout.in_order or len(layout.chunks) < 2 or not isinstance(source, RowGroups):
        return False
    return source.rows_touched(time, [chunk.times for chunk in layout.chunks if chunk.times]) > _SCATTERED * layout.n_rows


def series_layout(
    source: Source, columns: ColumnSpec, order: JobOrder, inputs: Sequence[Chunk], chunk_rows: int, *, n_threads: int = 1
) -> Layout:
    """Return the layout of rows of many series; reads the columns of entity and time, once if no entity exceeds a chunk.

    Raises
    ------
    DataError
        If rows have no time, and may not be left out, or all of them lack an entity.
    """
    reads = _Reads(source, order, inputs, n_threads)
    found = reads.merged(lambda rows: KeyScan.of(rows, order), KeyScan.merge)
    _check(found, columns)
    times = found.times  # all that a layout keeps of the counts

    def at_ranks(ranks: Sequence[int]) -> list[int]:
        assert order.time is not None
        assert times is not None
        resolution, found = tick_resolution(source.describe().schema.field(order.time).type), list[RankedBucket]()
        for rank in ranks:
            start, stop, n_rows, before = times.range_at(rank)
            bucket = TimeBucket(start, start + resolution if times.is_exact else stop, n_rows)
            found.append(RankedBucket(bucket, rank - before))
        return times_in_buckets(found, partial(source.times_between, order.time), resolution=resolution)

    groups = source.row_groups(None) if isinstance(source, RowGroups) else None
    if found.is_in_order and groups is not None:
        return replace(stored_layout(source, groups, None, chunk_rows), times_at_ranks=at_ranks)
    chunks = cut_times(list(_buckets(found, reads, chunk_rows)), chunk_rows)
    return Layout(chunks, at_ranks, in_order=False, n_null=found.n_null, inputs=inputs)


@dataclass(frozen=True)
class KeyScan:
    """What one pass over the columns of entity and time finds; scans of adjoining rows can be merged, in order."""

    keys: KeyCounts
    times: KeyCounts | None
    runs: KeyRuns  # in the table's order
    n_null: int  # rows without a time
    n_entities_null: int  # rows without any entity
    first_time: int  # or its number, where rows have no times
    last_time: int
    least_time: int
    greatest_time: int
    times_rise: bool  # within each run of equal keys

    @classmethod
    def of(cls, rows: pa.Table, order: JobOrder) -> Self:
        """Return what some rows, in the table's order, hold."""
        n_rows, rows = rows.num_rows, order.placed(rows)
        times = ticks(rows[order.time])[0] if order.time else None
        keys = order.keys(rows)
        ties = order.ties(rows)
        rises = bool(((ties[1:] >= ties[:-1]) | (keys[1:] != keys[:-1])).all()) if len(keys) else True
        empty = np.logical_and.reduce([rows[name].is_null().to_numpy() for name in order.entity])
        return cls(
            KeyCounts.of(keys),
            None if times is None else KeyCounts.of(times),
            KeyRuns.of(keys),
            n_rows - rows.num_rows,
            int(empty.sum()),
            int(ties[0]) if len(ties) else 0,
            int(ties[-1]) if len(ties) else 0,
            int(ties.min()) if len(ties) else 0,
            int(ties.max()) if len(ties) else 0,
            rises,
        )

    def merge(self, other: Self) -> Self:
        """Return what these rows hold, followed by the other ones."""
        if not self.runs.n_rows or not other.runs.n_rows:
            some = self if self.runs.n_rows else other
            return replace(some, n_null=self.n_null + other.n_null)
        continues = self.runs.last == other.runs.first
        return type(self)(
            self.keys.merge(other.keys),
            self.times.merge(other.times) if self.times and other.times else None,
            self.runs.merge(other.runs),
            self.n_null + other.n_null,
            self.n_entities_null + other.n_entities_null,
            self.first_time,
            other.last_time,
            min(self.least_time, other.least_time),
            max(self.greatest_time, other.greatest_time),
            self.times_rise and other.times_rise and not (continues and other.first_time < self.last_time),
        )

    @property
    def is_in_order(self) -> bool:
        """Whether the rows of every entity are adjacent, and in the order of their times."""
        return self.times_rise and not self.n_null and self.runs.are_whole()


@dataclass(frozen=True)
class _Reads:
    """Passes over the columns that decide the order."""

    source: Source
    order: JobOrder
    inputs: Sequence[Chunk]
    n_threads: int

    def merged(self, of: Callable[[pa.Table], T], merge: Callable[[T, T], T]) -> T:
        """Return what a function returns for the rows of each piece of the table, merged in their order.

        Each thread merges what it finds in adjoining pieces, of which it holds one at a time.
        """
        n_shares = min(self.n_threads, len(self.inputs))
        edges = [i * len(self.inputs) // n_shares for i in range(n_shares + 1)]

        def merged_share(share: tuple[int, int]) -> T:
            return reduce(merge, (of(self._read(chunk)) for chunk in self.inputs[slice(*share)]))

        return reduce(merge, in_parallel(merged_share, pairwise(edges), n_shares))

    def _read(self, chunk: Chunk) -> pa.Table:
        return self.source.read(chunk, self.order.columns, time=self.order.time if chunk.times else None)


def _buckets(found: KeyScan, reads: _Reads, chunk_rows: int) -> Iterator[TimeBucket]:
    """Ranges of keys, joined where they are small; the rows of one key that exceed a chunk are divided by their ties."""
    small, order = max(chunk_rows // 16, 1), reads.order
    ranges = [TimeBucket(start, min(stop, LAST_TICK), n_rows) for start, stop, n_rows in found.keys.joined(small)]
    large = [bucket for bucket in ranges if bucket.n_rows > chunk_rows]
    while wide := [bucket for bucket in large if bucket.stop - bucket.start > 1]:
        spans = [(bucket.start, bucket.stop) for bucket in wide]
        counted = _counted_inside(wide, reads, order.keys, spans, small)
        ranges = [part for bucket in ranges for part in counted.get(bucket.start, [bucket])]
        large = [bucket for bucket in ranges if bucket.n_rows > chunk_rows]
    span = (found.least_time, found.greatest_time + 1)
    ties = _counted_inside(large, reads, order.ties, [span] * len(large), small) if large else {}
    for bucket in ranges:
        parts = ties.get(bucket.start, []) if bucket.n_rows > chunk_rows else []
        yield from (bucket._replace(n_rows=part.n_rows, ties=(part.start, part.stop)) for part in parts)
        if not parts:
            yield bucket


def _counted_inside(
    buckets: Sequence[TimeBucket],
    reads: _Reads,
    what: Callable[[pa.Table], IntArray],
    spans: Sequence[tuple[int, int]],
    small: int,
) -> Mapping[int, list[TimeBucket]]:
    """Count the rows of some ranges of keys by something else, which lies in a span for each: one more pass.

    All are counted together, in bounded memory: by numbers whose first bits are those of the range, and whose last ones say
    where in its span a row is.

    Returns
    -------
    dict of int to list of TimeBucket
        Finer ranges by each range's start.
    """
    bits = 63 - len(buckets).bit_length()
    coarser = max(0, max(stop - start - 1 for start, stop in spans).bit_length() - bits)
    starts, stops = (np.array([getattr(bucket, edge) for bucket in buckets], np.int64) for edge in ("start", "stop"))
    origins = np.array([start for start, _ in spans], np.int64).view(np.uint64)

    def count(rows: pa.Table) -> KeyCounts:
        rows = reads.order.placed(rows)
        keys = reads.order.keys(rows)
        of = np.maximum(np.searchsorted(starts, keys, side="right") - 1, 0)
        (inside,) = np.nonzero((keys >= starts[of]) & (keys < stops[of]))
        of = of[inside]
        places = (what(rows)[inside].view(np.uint64) - origins[of]) >> np.uint64(coarser)  # unsigned: spans may exceed 2**63
        return KeyCounts.of(of << bits | places.view(np.int64), most=max(MAX_RANGES, 2 * len(buckets)))

    counts = reads.merged(count, KeyCounts.merge)
    firsts = [(i << bits) >> counts.shift for i in range(len(buckets) + 1)]
    found = dict[int, list[TimeBucket]]()
    for bucket, (start, stop), first, (begin, end) in zip(
        buckets, spans, firsts[:-1], pairwise(np.searchsorted(counts.keys, firsts)), strict=True
    ):
        inner = KeyCounts(counts.keys[begin:end] - first, counts.counts[begin:end], counts.shift + coarser)
        parts = [(start + a, min(start + b, stop, LAST_TICK), n_rows) for a, b, n_rows in inner.joined(small)]
        found[bucket.start] = [TimeBucket(*part) for part in parts]
    return found


def _check(found: KeyScan, columns: ColumnSpec) -> None:
    check_times(columns, n_null=found.n_null, order="the order of their series")
    check_entities(columns, n_rows=found.runs.n_rows, n_null=found.n_entities_null)
