"""How a table is cut into chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from emberharmony.errors import PlanError
from emberharmony.typing import IntArray

N_BUCKETS = 262_144
"""Buckets of time counted in one pass over a time column."""


@dataclass(frozen=True)
class Chunk:
    """Rows that one task reads: a run of source rows, or, of a table out of order, a range of times.

    The chunk's first row is number `first_row` in the job's order, whichever of the two it is.
    """

    index: int
    first_row: int
    n_rows: int
    times: tuple[int, int] | None = None  # [from, to) in ticks of the time column

    def __str__(self) -> str:
        """Name the chunk in messages."""
        return f"chunk {self.index} (rows {self.first_row:,} to {self.first_row + self.n_rows:,})"


@dataclass(frozen=True)
class TimeBucket:
    """Times ``[start, stop)`` in ticks, and how many rows have one."""

    start: int
    stop: int
    n_rows: int


CountTimes = Callable[[int, int, int], IntArray]
"""``(start, width, n_buckets)`` -> number of rows in each of the buckets ``[start + i * width, start + (i + 1) * width)``."""


def cut_rows(group_rows: Sequence[int] | IntArray, chunk_rows: int) -> list[Chunk]:
    """Chunks of at most `chunk_rows` rows: whole row groups where they fit, equal pieces of those that do not.

    Examples
    --------
    >>> [chunk.n_rows for chunk in cut_rows([4, 4, 4, 10], 8)]
    [8, 4, 5, 5]
    """
    sizes: list[int] = []
    open_rows = 0
    for n_rows in map(int, group_rows):
        if open_rows and open_rows + n_rows > chunk_rows:
            sizes.append(open_rows)
            open_rows = 0
        if n_rows > chunk_rows:
            pieces = -(-n_rows // chunk_rows)
            sizes.extend((n_rows * (i + 1)) // pieces - (n_rows * i) // pieces for i in range(pieces))
        else:
            open_rows += n_rows
    return _numbered([*sizes, open_rows] if open_rows else sizes)


def cut_times(buckets: Sequence[TimeBucket], chunk_rows: int) -> list[Chunk]:
    """Chunks of neighbouring buckets, at most `chunk_rows` rows each unless a single time has more.

    Examples
    --------
    >>> buckets = [TimeBucket(0, 5, 3), TimeBucket(5, 9, 3), TimeBucket(9, 10, 4)]
    >>> [(chunk.times, chunk.n_rows) for chunk in cut_times(buckets, 6)]
    [((0, 9), 6), ((9, 10), 4)]
    """
    chunks: list[Chunk] = []
    start, first_row, n_rows = (buckets[0].start if buckets else 0), 0, 0
    for bucket in buckets:
        if n_rows and n_rows + bucket.n_rows > chunk_rows:
            chunks.append(Chunk(len(chunks), first_row, n_rows, (start, bucket.start)))
            start, first_row, n_rows = bucket.start, first_row + n_rows, 0
        n_rows += bucket.n_rows
    if n_rows:
        chunks.append(Chunk(len(chunks), first_row, n_rows, (start, buckets[-1].stop)))
    return chunks


def time_buckets(count: CountTimes, first: int, last: int, *, max_rows: int, resolution: int = 1) -> Iterator[TimeBucket]:
    """Buckets over the times `first` to `last`, cut again until each holds at most `max_rows` rows or a single time.

    Every count is a pass over the times of its range, or a query: neighbours are cut again together, by one. `resolution`
    is the least distance of two times: a day of dates is not cut again.
    """
    # A power of two: widths of buckets cut again then divide those they are cut from, and no bucket reaches into the next.
    units = -(-(last + 1 - first) // resolution)
    width = resolution << (-(-units // N_BUCKETS) - 1).bit_length()
    n_buckets = -(-(last + 1 - first) // width)
    counts = count(first, width, n_buckets)
    n_together = max(N_BUCKETS // 64, 1)
    for begin in range(0, n_buckets, n_together):
        part = counts[begin : begin + n_together]
        start = first + begin * width
        if width > resolution and part.max() > max_rows:
            stop = min(start + len(part) * width - 1, last)
            yield from time_buckets(count, start, stop, max_rows=max_rows, resolution=resolution)
            continue
        for i in np.flatnonzero(part):
            yield TimeBucket(start + int(i) * width, start + (int(i) + 1) * width, int(part[i]))


def joined(buckets: Iterable[TimeBucket], *, max_rows: int) -> Iterator[TimeBucket]:
    """Neighbouring buckets as one, as long as they hold at most `max_rows` rows together: a list of them stays short.

    Examples
    --------
    >>> list(joined([TimeBucket(0, 1, 3), TimeBucket(4, 5, 2), TimeBucket(5, 6, 2)], max_rows=5))
    [TimeBucket(start=0, stop=5, n_rows=5), TimeBucket(start=5, stop=6, n_rows=2)]
    """
    open_bucket: TimeBucket | None = None
    for bucket in buckets:
        if open_bucket is None:
            open_bucket = bucket
        elif open_bucket.n_rows + bucket.n_rows <= max_rows:
            open_bucket = TimeBucket(open_bucket.start, bucket.stop, open_bucket.n_rows + bucket.n_rows)
        else:
            yield open_bucket
            open_bucket = bucket
    if open_bucket is not None:
        yield open_bucket


def time_at_rank(
    buckets: Sequence[TimeBucket], rank: int, times_between: Callable[[int, int], IntArray], *, resolution: int = 1
) -> int:
    """Time of the row at `rank` in time order; only the rows of its own bucket are looked at."""
    ends = np.cumsum([bucket.n_rows for bucket in buckets])
    if not 0 <= rank < (ends[-1] if len(ends) else 0):
        raise PlanError(f"There is no row at rank {rank} among {ends[-1] if len(ends) else 0}.")
    place = int(np.searchsorted(ends, rank, side="right"))
    bucket = buckets[place]
    if bucket.stop - bucket.start == resolution:
        return bucket.start
    inside = np.sort(times_between(bucket.start, bucket.stop))
    return int(inside[rank - (int(ends[place]) - bucket.n_rows)])


def _numbered(sizes: Sequence[int]) -> list[Chunk]:
    starts = np.concatenate([[0], np.cumsum(np.asarray(sizes, np.int64))]).tolist()
    return [Chunk(i, start, stop - start) for i, (start, stop) in enumerate(pairwise(starts))]
