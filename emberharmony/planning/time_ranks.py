"""Times of rows whose place in time order is known, as the boundaries of splits are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from emberharmony.errors import PlanError
from emberharmony.planning.chunks import LAST_TICK, TimeBucket
from emberharmony.typing import IntArray

TimesBetween = Callable[[Sequence[tuple[int, int]]], Sequence[IntArray]]
"""Ranges ``[start, stop)`` -> the times in each of them, in any order."""


class RankedBucket(NamedTuple):
    """A bucket of times, and the place of a row among its rows in time order."""

    bucket: TimeBucket
    rank: int


def bucket_at_rank(buckets: Sequence[TimeBucket], rank: int) -> RankedBucket:
    """Return the bucket that holds the row at `rank` in time order.

    Raises
    ------
    PlanError
        If there are not so many rows.
    """
    ends = np.cumsum([bucket.n_rows for bucket in buckets])
    if not 0 <= rank < (ends[-1] if len(ends) else 0):
        raise PlanError(f"There is no row at rank {rank} among {ends[-1] if len(ends) else 0}.")
    place = int(np.searchsorted(ends, rank, side="right"))
    return RankedBucket(buckets[place], rank - (int(ends[place]) - buckets[place].n_rows))


def times_in_buckets(found: Sequence[RankedBucket], times_between: TimesBetween, *, resolution: int = 1) -> list[int]:
    """Return the times of rows in buckets; reads only the times of these buckets, all of them at once."""
    times = [bucket.start for bucket, _ in found]
    wide = [i for i, (bucket, _) in enumerate(found) if bucket.stop - bucket.start > resolution or bucket.stop >= LAST_TICK]
    inside = times_between([(found[i].bucket.start, found[i].bucket.stop) for i in wide]) if wide else []
    for i, of_bucket in zip(wide, inside, strict=True):
        times[i] = int(np.sort(of_bucket)[found[i].rank])
    return times
