"""Places of windows in a block of rows, which may belong to several series one after another."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from emberharmony.typing import IntArray

NO_BORDERS = np.empty(0, np.int64)
NO_BORDERS.flags.writeable = False


class Bounds(NamedTuple):
    """Where each series of a block begins and ends, as places in the block."""

    origins: IntArray  # of row 0 of each series; negative if the first series begins before the block
    stops: IntArray  # after its last row in the block


def series_bounds(start: int, n_rows: int, borders: IntArray) -> Bounds:
    """Return where each series begins and ends.

    Parameters
    ----------
    start : int
        Number, in its series, of the first row of the block.
    n_rows : int
        Rows of the block.
    borders : int64 array of shape (n_series - 1,)
        Places, ascending, whose row begins another series.
    """
    return Bounds(np.concatenate([[-start], borders]), np.concatenate([borders, [n_rows]]))


class Kept(NamedTuple):
    """Some rows of a block, as rows of a block of their own."""

    places: IntArray | slice
    start: int
    borders: IntArray


def without_last(n: int, *, start: int, n_rows: int, borders: IntArray) -> Kept:
    """Return all rows of a block but the last `n` of each series.

    Examples
    --------
    >>> kept = without_last(2, start=5, n_rows=9, borders=np.array([1, 5]))  # series of 1, 4 and 4 rows
    >>> kept.places.tolist(), kept.start, kept.borders.tolist()
    ([1, 2, 5, 6], 0, [2])
    """
    if not len(borders) or not n:
        return Kept(slice(0, max(n_rows - n, 0)), start, borders)
    firsts, stops = np.concatenate([[0], borders]), np.concatenate([borders, [n_rows]])
    lengths = np.maximum(stops - firsts - n, 0)
    ends = np.cumsum(lengths)
    places = np.repeat(firsts - (ends - lengths), lengths) + np.arange(ends[-1])
    some = np.flatnonzero(lengths)
    return Kept(places, start if lengths[0] else 0, ends[some[:-1]])


def window_places(size: int, stride: int, *, start: int, n_rows: int, borders: IntArray) -> IntArray:
    """Return the first rows, as places in the block, of its complete windows.

    A window lies within one series and begins at a row whose number in the series is a multiple of the stride.

    Examples
    --------
    >>> window_places(3, 2, start=1, n_rows=11, borders=np.array([4, 6])).tolist()  # series of 4, 2 and 5 rows
    [1, 6, 8]
    """
    if not len(borders):
        return np.arange(-start % stride, n_rows - size + 1, stride)
    origins, stops = series_bounds(start, n_rows, borders)
    firsts = origins.copy()
    firsts[0] = -start % stride
    counts = np.maximum((stops - firsts - size) // stride + 1, 0)
    before = np.cumsum(counts) - counts  # windows of earlier series
    places: IntArray = np.repeat(firsts - stride * before, counts) + stride * np.arange(counts.sum())
    return places
