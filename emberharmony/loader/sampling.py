"""Which windows a process gets, and in which order: decided with integers, before a row is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from emberharmony.typing import IntArray


@dataclass(frozen=True)
class Piece:
    """Windows of one row group: those with the numbers ``[start, stop)`` among its windows."""

    group: int
    start: int
    stop: int


@dataclass(frozen=True)
class Shard:
    """The windows ``[start, stop)`` in an epoch's order of row groups, in batches of `batch_size`."""

    start: int
    stop: int
    batch_size: int

    @property
    def n_batches(self) -> int:
        """Number of batches; the last one may be smaller."""
        return -(-(self.stop - self.start) // self.batch_size)

    def of_worker(self, worker: int, n_workers: int) -> Shard:
        """Return the part of one of several workers: whole batches, one more for the first workers if need be.

        Examples
        --------
        >>> shards = [Shard(0, 95, 10).of_worker(i, 3) for i in range(3)]
        >>> [(shard.start, shard.stop) for shard in shards]
        [(0, 40), (40, 70), (70, 95)]
        """
        each, more = divmod(self.n_batches, n_workers)
        first = each * worker + min(worker, more)
        last = first + each + (worker < more)
        start, stop = (min(self.start + n * self.batch_size, self.stop) for n in (first, last))
        return Shard(start, stop, self.batch_size)


def shard_of_rank(n_windows: int, batch_size: int, *, rank: int, world_size: int, drop_last: bool) -> Shard:
    """Return the windows of one of several ranks.

    The shards of all ranks are disjoint, and differ by one window at most. Together they are all windows, unless `drop_last`
    leaves out what does not fill a batch; then all ranks have the same number of batches.

    Examples
    --------
    >>> [shard_of_rank(11, 2, rank=i, world_size=2, drop_last=True) for i in range(2)]
    [Shard(start=0, stop=4, batch_size=2), Shard(start=5, stop=9, batch_size=2)]
    """
    start, stop = (n_windows * i // world_size for i in (rank, rank + 1))
    if drop_last:
        stop = start + n_windows // world_size // batch_size * batch_size
    return Shard(start, stop, batch_size)


def pieces(order: IntArray, counts: IntArray, shard: Shard) -> list[Piece]:
    """Return a shard's windows by row group, in the order of the groups.

    Examples
    --------
    >>> pieces(np.array([1, 0]), np.array([10, 4]), Shard(2, 9, 1))
    [Piece(group=1, start=2, stop=4), Piece(group=0, start=0, stop=5)]
    """
    stops = np.cumsum(counts[order])
    firsts = np.maximum(stops - counts[order], shard.start)
    lasts = np.minimum(stops, shard.stop)
    begins = stops - counts[order]
    taken = np.flatnonzero(firsts < lasts)
    found = np.stack([order, firsts - begins, lasts - begins])[:, taken]
    return [Piece(*of) for of in found.T.tolist()]


def buffers(of_shard: Sequence[Piece], n_rows: Sequence[int], max_rows: int) -> Iterator[list[Piece]]:
    """Yield consecutive pieces whose row groups have at most `max_rows` rows together, but at least one piece.

    Examples
    --------
    >>> [[piece.group for piece in buffer] for buffer in buffers([Piece(i, 0, 1) for i in range(5)], [4, 4, 4, 9, 4], 8)]
    [[0, 1], [2], [3], [4]]
    """
    buffer, held = list[Piece](), 0
    for piece in of_shard:
        if buffer and held + n_rows[piece.group] > max_rows:
            yield buffer
            buffer, held = [], 0
        buffer.append(piece)
        held += n_rows[piece.group]
    if buffer:
        yield buffer
