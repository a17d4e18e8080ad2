"""How a table is cut into chunks."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emberharmony.errors import PlanError
from emberharmony.planning.partitions import TimePartitions
from emberharmony.typing import IntArray

N_BUCKETS = 262_144
"""Buckets of time counted in one pass over a time column."""
DEFAULT_CHUNK_ROWS = 131_072
LAST_TICK = 2**63 - 1
"""Largest 64-bit number. A range ``[start, LAST_TICK)`` has no end: times at `LAST_TICK` itself belong to it."""


SMALL_CHUNK_ROWS = 1_000
"""Chunks of fewer rows take longer to open, commit and publish (measured: 35 ms of a core) than to compute (5 ms)."""
MAX_SMALL_CHUNKS = 500
"""This many small chunks cost half a minute to a minute; a trial run needs no more."""
MAX_CHUNKS_ASKED_FOR = 100_000
"""Bound on chunks of any size: files, receipts and the manifest grow with their number."""


@dataclass(frozen=True)
class Chunk:
    """Rows that one task reads: a range of source rows, or of times if the table is not in the job's order.

    In both cases, `first_row` is the number of the chunk's first row in the job's order.
    """

    index: int
    first_row: int
    n_rows: int
    times: tuple[int, int] | None = None  # [from, to) in ticks of the time column
    ties: tuple[int, int] | None = None  # if all rows have the same time: [from, to) in ticks of the column that orders them

    @property
    def ranks(self) -> range:
        """Ranks of its rows in the job's order."""
        return range(self.first_row, self.first_row + self.n_rows)

    def __str__(self) -> str:
        """Name the chunk in messages."""
        return f"chunk {self.index} (rows {self.first_row:,} to {self.first_row + self.n_rows:,})"


NO_ROWS = Chunk(0, 0, 0)
"""The only chunk of a table without rows: its stages write empty parts, so that readers find the columns."""


class TimeBucket(NamedTuple):  # there may be a quarter of a million of them
    """Times ``[start, stop)`` in ticks, and the number of rows in them."""

    start: int
    stop: int
    n_rows: int
    partition: int = 0  # first tick of the table's partition that holds them; 0 if the table has no partitions
    ties: tuple[int, int] | None = None  # of a bucket of a single time: only these of its rows, see `Chunk`


def in_range(ticks: IntArray, start: int, stop: int) -> NDArray[np.bool_]:
    """Mask of the times in the range ``[start, stop)`` of a bucket or chunk.

    Examples
    --------
    >>> in_range(np.array([1, 2, LAST_TICK]), 2, LAST_TICK).tolist()
    [False, True, True]
    """
    return ticks >= start if stop >= LAST_TICK else (ticks >= start) & (ticks < stop)


def count_in_buckets(counts: IntArray, ticks: IntArray, start: int, width: int) -> None:
    """Add to `counts` the number of times in each of the buckets ``[start + i * width, start + (i + 1) * width)``.

    Examples
    --------
    >>> counts = np.zeros(4, np.int64)
    >>> count_in_buckets(counts, np.array([-(2**63), 0, 2**63 - 1]), -(2**63), 2**62)
    >>> counts.tolist()
    [1, 0, 1, 1]
    """
    inside = ticks[(ticks >= start) & (ticks < start + width * len(counts))]
    # Unsigned: the difference of two times may exceed the largest time.
    distance = inside.view(np.uint64) - np.uint64(start % 2**64)
    places = (distance // np.uint64(width)).astype(np.int64)
    if len(places) < len(counts):  # of a small row group, which does not take the time to go through all buckets
        np.add.at(counts, places, 1)
    else:
        counts += np.bincount(places, minlength=len(counts))


CountTimes = Callable[[int, int, int], IntArray]
"""``(start, width, n_buckets)`` -> number of rows in each of the buckets ``[start + i * width, start + (i + 1) * width)``."""


def check_chunk_rows(chunk_rows: int | None, n_rows: int) -> None:
    """Refuse a requested chunk size that makes an absurd number of chunks.

    Raises
    ------
    PlanError
        If it makes more than `MAX_SMALL_CHUNKS` small chunks, or more than `MAX_CHUNKS_ASKED_FOR` of any size.

    Examples
    --------
    >>> check_chunk_rows(1, 400)
    >>> check_chunk_rows(1, 4_000)
    Traceback (most recent call last):
    emberharmony.errors.PlanError: runtime.chunk_rows: 1 makes 4,000 chunks of 4,000 rows. ...
    """
    n_chunks = -(-n_rows // chunk_rows) if chunk_rows else 1
    if not chunk_rows or n_chunks <= (MAX_SMALL_CHUNKS if chunk_rows < SMALL_CHUNK_ROWS else MAX_CHUNKS_ASKED_FOR):
        return
    enough = min(SMALL_CHUNK_ROWS, -(-n_rows // MAX_SMALL_CHUNKS))
    enough = max(enough, -(-n_rows // MAX_CHUNKS_ASKED_FOR))
    raise PlanError(
        f"runtime.chunk_rows: {chunk_rows:,} makes {n_chunks:,} chunks of {n_rows:,} rows. Every chunk costs time and files "
        f"besides its rows, here more than the rows do. Set it to {enough:,} or more, or leave it out."
    )


def cut_rows(group_rows: Sequence[int] | IntArray, chunk_rows: int) -> list[Chunk]:
    """Return chunks of at most `chunk_rows` rows: whole row groups if they fit, equal pieces of a larger one.

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
    """Return chunks of neighbouring buckets, of at most `chunk_rows` rows each unless a single time has more.

    A chunk holds whole partitions if they fit. A larger partition is cut into about equal pieces, which hold no rows of
    another. So is a time whose rows were counted by the column that orders ties.

    Examples
    --------
    >>> buckets = [TimeBucket(0, 5, 3), TimeBucket(5, 9, 3), TimeBucket(9, 10, 4)]
    >>> [(chunk.times, chunk.n_rows) for chunk in cut_times(buckets, 6)]
    [((0, 9), 6), ((9, 10), 4)]
    >>> days = [TimeBucket(0, 9, 2, 0), TimeBucket(10, 14, 4, 10), TimeBucket(15, 19, 5, 10), TimeBucket(20, 29, 1, 20)]
    >>> [chunk.times for chunk in cut_times(days, 6)]
    [(0, 9), (10, 14), (15, 19), (20, 29)]
    """
    pieces: list[list[TimeBucket]] = []
    room = 0  # rows of further whole partitions that fit into the last piece
    for _, group in groupby(buckets, key=lambda bucket: (bucket.partition, bucket.start if bucket.ties else None)):
        partition = list(group)
        n_rows = _n_rows(partition)
        if n_rows > chunk_rows:
            pieces += _equal_pieces(partition, chunk_rows)
            room = 0
        elif n_rows > room:
            pieces.append(partition)
            room = chunk_rows - n_rows
        else:
            pieces[-1] += partition
            room -= n_rows
    ends = np.cumsum([0, *map(_n_rows, pieces)]).tolist()
    return [
        Chunk(i, first, stop - first, (piece[0].start, piece[-1].stop), _ties_of(piece))
        for i, (piece, (first, stop)) in enumerate(zip(pieces, pairwise(ends), strict=True))
    ]


def _equal_pieces(buckets: Sequence[TimeBucket], chunk_rows: int) -> Iterator[list[TimeBucket]]:
    """Yield pieces of at most `chunk_rows` rows, about equal in size."""
    n_rows = _n_rows(buckets)
    wanted = n_rows / -(-n_rows // chunk_rows)
    piece: list[TimeBucket] = []
    open_rows, done_rows, end = 0, 0, wanted
    for bucket in buckets:
        # A piece ends at the bucket border nearest to its ideal end, so that deviations do not add up.
        if piece and (open_rows + bucket.n_rows > chunk_rows or done_rows + open_rows + bucket.n_rows / 2 > end):
            yield piece
            done_rows += open_rows
            piece, open_rows, end = [], 0, max(end, done_rows) + wanted
        piece.append(bucket)
        open_rows += bucket.n_rows
    yield piece


def _ties_of(piece: Sequence[TimeBucket]) -> tuple[int, int] | None:
    first, last = piece[0].ties, piece[-1].ties
    return (first[0], last[1]) if first and last else None


def _n_rows(buckets: Iterable[TimeBucket]) -> int:
    return sum(bucket.n_rows for bucket in buckets)


def time_buckets(
    count: CountTimes,
    first: int,
    last: int,
    *,
    max_rows: int,
    resolution: int = 1,
    partitions: TimePartitions | None = None,
    together: int = 0,
) -> Iterator[TimeBucket]:
    """Yield buckets over the times `first` to `last`, cut again until each holds at most `max_rows` rows or a single time.

    Neighbours of a partition are counted as one bucket while it has at most `together` rows: a quarter of a million buckets
    take a third of a second, and most are joined later (see `joined`).

    A count is a pass over the times of its range, or a query, so neighbouring buckets are cut again by one count. Times are
    `resolution` ticks apart or more: a day of dates is not cut. Buckets begin and end where partitions do, unless the times
    span centuries.
    """
    grid = partitions.grid if partitions else resolution
    begin = first - first % grid if partitions else first
    yield from _without_end(_buckets(count, begin, last, max_rows, resolution, grid, partitions, together))


def _without_end(buckets: Iterable[TimeBucket]) -> Iterator[TimeBucket]:
    """Yield the buckets; rows at `LAST_TICK` join the bucket that ends there, since no range can begin at it."""
    held: TimeBucket | None = None
    for bucket in buckets:
        if held is not None and held.stop == LAST_TICK:
            bucket = held._replace(n_rows=held.n_rows + bucket.n_rows)
        elif held is not None:
            yield held
        held = bucket
    if held is not None:
        yield held


def _buckets(
    count: CountTimes,
    first: int,
    last: int,
    max_rows: int,
    resolution: int,
    grid: int,
    partitions: TimePartitions | None,
    together: int,
) -> Iterator[TimeBucket]:
    width = _bucket_width(last + 1 - first, grid, resolution)
    n_buckets = -(-(last + 1 - first) // width)
    counts = count(first, width, n_buckets)
    n_together = max(N_BUCKETS // 64, 1)
    for begin in range(0, n_buckets, n_together):
        part = counts[begin : begin + n_together]
        start = first + begin * width
        if width > resolution and part.max() > max_rows:
            stop = min(start + len(part) * width - 1, last)
            yield from _buckets(count, start, stop, max_rows, resolution, width, partitions, together)
            continue
        places = np.flatnonzero(part)
        starts = [start + i * width for i in places.tolist()]
        of = partitions.starts(np.array(starts, np.int64)) if partitions else np.zeros(len(places), np.int64)
        sums = [0, *accumulate(part[places].tolist())]
        ends = [*(np.flatnonzero(of[1:] != of[:-1]) + 1).tolist(), len(of)]
        partition_of = of.tolist()
        for a, b in _runs(sums, ends, together):
            yield TimeBucket(starts[a], min(starts[b - 1] + width, LAST_TICK), sums[b] - sums[a], partition_of[a])


def _runs(sums: Sequence[int], ends: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
    """Yield ``[from, to)`` of neighbouring buckets of a partition that have at most `most` rows, or are one bucket.

    `sums` are the rows before each bucket and, last, of all; `ends` is where partitions end. These are lists: NumPy takes
    longer for a single number, and most runs of a large table are one bucket.
    """
    begin = 0
    for stop in ends:
        while begin < stop:
            end = max(bisect_right(sums, sums[begin] + most, begin + 1, stop + 1) - 1, begin + 1)
            yield begin, end
            begin = end


def _bucket_width(span: int, grid: int, resolution: int) -> int:
    """Return the smallest width whose buckets, `N_BUCKETS` at most, cover `span`: `grid` times a power of two, or a divisor.

    Then buckets that are cut again lie inside the bucket that they are cut from.

    Examples
    --------
    >>> _bucket_width(86_400 * N_BUCKETS, 86_400, 1), _bucket_width(86_400 * 300, 86_400, 1), _bucket_width(999, 7, 7)
    (86400, 225, 7)
    """
    width = grid << (-(-span // (grid * N_BUCKETS)) - 1).bit_length()
    for factor in (2, 3, 5):
        while width % (factor * resolution) == 0 and span <= width // factor * N_BUCKETS:
            width //= factor
    return width


def joined(buckets: Iterable[TimeBucket], *, max_rows: int) -> Iterator[TimeBucket]:
    """Yield neighbouring buckets of a partition joined into one of at most `max_rows` rows, which keeps lists short.

    Examples
    --------
    >>> buckets = [TimeBucket(0, 1, 3), TimeBucket(4, 5, 2), TimeBucket(5, 6, 2)]
    >>> [(bucket.start, bucket.stop, bucket.n_rows) for bucket in joined(buckets, max_rows=5)]
    [(0, 5, 5), (5, 6, 2)]
    """
    some: TimeBucket | None = None
    stop = n_rows = 0
    for bucket in buckets:
        if some is not None and some.partition == bucket.partition and n_rows + bucket.n_rows <= max_rows:
            stop, n_rows = bucket.stop, n_rows + bucket.n_rows
            continue
        if some is not None:
            yield some if some.stop == stop else some._replace(stop=stop, n_rows=n_rows)  # large tables: few are joined
        some, stop, n_rows = bucket, bucket.stop, bucket.n_rows
    if some is not None:
        yield some if some.stop == stop else some._replace(stop=stop, n_rows=n_rows)


def least_shared(buckets: Iterable[TimeBucket], *, resolution: int = 1) -> int:
    """Return the least number of rows that share their time with another row: of buckets with more rows than times.

    Examples
    --------
    >>> least_shared([TimeBucket(0, 1, 3), TimeBucket(10, 12, 2), TimeBucket(20, 22, 5)])
    7
    """
    n_times = ((bucket.n_rows, (bucket.stop - bucket.start) // resolution) for bucket in buckets)
    return sum(n_rows - times + 1 for n_rows, times in n_times if n_rows > times)


def as_ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return the first and last of every run of consecutive numbers, to name thousands of chunks in few words.

    Examples
    --------
    >>> as_ranges([0, 1, 2, 3, 7, 9, 10])
    [(0, 3), (7, 7), (9, 10)]
    """
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges


def from_ranges(ranges: Iterable[tuple[int, int]]) -> list[int]:
    """Return the numbers that `as_ranges` was given.

    Examples
    --------
    >>> from_ranges([(0, 3), (7, 7), (9, 10)])
    [0, 1, 2, 3, 7, 9, 10]
    """
    return [number for first, last in ranges for number in range(first, last + 1)]


def _numbered(sizes: Sequence[int]) -> list[Chunk]:
    starts = np.concatenate([[0], np.cumsum(np.asarray(sizes, np.int64))]).tolist()
    return [Chunk(i, start, stop - start) for i, (start, stop) in enumerate(pairwise(starts))]
