"""Context: rows from before a slice, which complete the windows that end in it and are not published."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from emberharmony.arrow import ticks
from emberharmony.series import Segment
from emberharmony.stats.places import series_bounds
from emberharmony.typing import BoolArray, IntArray

SLICE = "slice"
"""Stands, where rows are counted by split, for those of the slice itself."""
_PLACE = "place in chunk"


@dataclass(frozen=True)
class SliceStart:
    """Where a slice begins in a job that reads rows from before it."""

    time: str
    """Name of the time column."""
    tick: int
    """The first tick of the slice, see `emberharmony.arrow.ticks`."""

    def holds(self, rows: pa.Table) -> BoolArray:
        """Mask of the rows that belong to the slice; rows without a time belong to none, and are not read."""
        return ticks(rows[self.time])[0] >= self.tick


def without_context(rows: pa.Table, inside: BoolArray) -> pa.Table:
    """Return the rows of the slice among those of a chunk."""
    return rows if inside.all() else rows.filter(pa.array(inside))


def context_of(rows: pa.Table, inside: BoolArray) -> pa.Table:
    """Return the rows of a chunk that come before the slice, with their places in the chunk; see `joined_rows`."""
    places = np.flatnonzero(~inside)
    return rows.take(pa.array(places)).append_column(_PLACE, pa.array(places))


def joined_rows(of_slice: pa.Table, context: pa.Table) -> pa.Table:
    """Return all rows of a chunk in their order.

    Examples
    --------
    >>> rows = pa.table({"x": [1, 2, 3, 4]})
    >>> inside = np.array([False, True, False, True])
    >>> joined_rows(without_context(rows, inside), context_of(rows, inside))["x"].to_pylist()
    [1, 2, 3, 4]
    """
    places = context[_PLACE].to_numpy()
    order = np.empty(of_slice.num_rows + len(places), np.int64)
    is_context = np.zeros(len(order), bool)
    is_context[places] = True
    order[~is_context] = np.arange(of_slice.num_rows)
    order[is_context] = of_slice.num_rows + np.arange(len(places))
    both = pa.concat_tables([of_slice, context.drop_columns(_PLACE)]).unify_dictionaries()
    return both.take(pa.array(order))


@dataclass(frozen=True)
class SliceWindows:
    """The windows of a segment whose last row lies in the slice.

    Strides count from the first row of a series that lies in the slice. So the windows of a slice do not depend on how many
    rows are read from before it, as long as these cover a window.

    Examples
    --------
    >>> segment = Segment(0, np.zeros((1, 8), np.float32))
    >>> windows = SliceWindows(segment, np.arange(8) >= 3, before=0, size=3, reach=3)
    >>> windows.starts(2).tolist()  # they end at rows 3, 5 and 7
    [1, 3, 5]
    """

    segment: Segment
    """Rows in job order, those that complete its last windows among them."""
    inside: BoolArray
    """Which of the rows belong to the slice, shape ``(n_rows,)``; in each series, they follow the others."""
    before: int
    """Rows of the slice, of the segment's first series, that come before the segment."""
    size: int
    """Rows of a window."""
    reach: int
    """Rows from a window's first one to the row of its label."""

    def starts(self, stride: int) -> IntArray:
        """Return the places of their first rows, one every `stride` rows of each series."""
        places: IntArray = self._starts[(self._ordinals[self._starts + self.size - 1] - (self.size - 1)) % stride == 0]
        return places

    def n_short(self, n_rows: int) -> int:
        """Return how many series have too few rows before the slice to complete their first windows.

        Those are counted whose first row in the slice is among the first `n_rows` of the segment.
        """
        first = np.flatnonzero(self.inside[:n_rows] & (self._ordinals[:n_rows] == 0))
        borders = self.segment.borders
        origins, _ = series_bounds(self.segment.start, self.segment.n_rows, borders)
        numbers = first - origins[np.searchsorted(borders, first, side="right")]
        return int((numbers < self.size - 1).sum())

    @cached_property
    def _starts(self) -> IntArray:
        """Places of the first rows of all windows whose last row lies in the slice."""
        starts = self.segment.window_starts(self.reach, 1)
        in_slice: IntArray = starts[self.inside[starts + self.size - 1]]
        return in_slice

    @cached_property
    def _ordinals(self) -> IntArray:
        """Number of each row among the rows of its series that belong to the slice; below 0 for the others."""
        counts, borders = np.cumsum(self.inside), self.segment.borders
        before = np.concatenate([[-self.before], counts[borders - 1]])  # rows of the slice, in the segment, before each series
        lengths = np.diff(np.concatenate([[0], borders, [self.segment.n_rows]]))
        ordinals: IntArray = counts - 1 - np.repeat(before, lengths)
        return ordinals
