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
    origins[0] = -start % stride  # of the first window
    return places_of_series(origins, stops, size, stride)


def places_of_series(firsts: IntArray, stops: IntArray, size: int, stride: int) -> IntArray:
    """Return the places of windows, one every `stride` rows in each series, given its first one and where the series stops."""
    counts = np.maximum((stops - firsts - size) // stride + 1, 0)
    before = np.cumsum(counts) - counts  # windows of earlier series
    places: IntArray = np.repeat(firsts - stride * before, counts) + stride * np.arange(counts.sum())
    return places


def blocks_of(places: IntArray, n_places: int, n_rows: int) -> list[slice]:
    """Cut ascending places into blocks of at most `n_places`, each of which spans at most `n_rows` rows.

    Examples
    --------
    >>> blocks_of(np.array([0, 1, 2, 3, 90, 95]), n_places=3, n_rows=50)
    [slice(0, 3, None), slice(3, 4, None), slice(4, 6, None)]
    """
    blocks, begin = list[slice](), 0
    while begin < len(places):
        stop = min(begin + n_places, int(np.searchsorted(places, places[begin] + n_rows)))
        blocks.append(slice(begin, stop))
        begin = stop
    return blocks
