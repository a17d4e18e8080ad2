"""The Gram matrix of all windows of one or several series, without building a window.

Overlapping windows share rows. Block (i, j) of the Gram matrix of windows is the sum of the products ``x[p] x[p + j - i].T``
over all rows ``p`` that are at position `i` of a window; it depends only on the lag ``j - i`` and on ``i`` modulo the stride.
The series is therefore reshaped, without a copy, into lines whose length (the period) is a multiple of the strides. For each
place in a line, one matrix product multiplies the rows at that place with the rows up to a window's length after them. Padding
the series with rows of zeros counts a few incomplete windows, which are subtracted.

Each row ends with a constant one, so that the same matrix holds the sums of the windows and their number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from emberharmony import ops
from emberharmony.stats.places import NO_BORDERS, series_bounds, window_places, without_last
from emberharmony.stats.rows import on_host, rows_with_ones, wide_enough_for
from emberharmony.threads import each_block, threads_for
from emberharmony.typing import Arrays, FeatureBlock, FloatArray, IntArray

_MAX_PRODUCT_BYTES = 64 * 2**20  # products of the strides that share a period
_MAX_PERIOD = 64  # shared period: a series needs many lines for its products to be large
_LONG_STRIDE = 1_000  # windows so far apart are few, and are built
_HOST_BLOCK_ROWS = 6_000  # a block and its products stay in cache
_DEVICE_BLOCK_ROWS = 262_144
_BUILT_WINDOWS = 2_048


@dataclass(frozen=True)
class WindowGram:
    """Gram matrix, sums and count of the windows of a segment, which holds rows of one or several series.

    States of adjoining segments can be merged: each keeps the rows at its ends, from which the windows across the border are
    added. Windows start at rows whose number in the *series* is a multiple of the stride, so chunking does not move them.
    A state that starts at row 0 begins another series, so no window lies across its border.

    Examples
    --------
    >>> x = np.arange(14, dtype=np.float32).reshape(1, 14)
    >>> whole = WindowGram.of(x, start=0, size=3, stride=2)
    >>> parts = [WindowGram.of(x[:, a:b], start=a, size=3, stride=2) for a, b in [(0, 5), (5, 14)]]
    >>> halves = parts[0].merge(parts[1])
    >>> whole.n_windows, halves.n_windows, bool(np.allclose(whole.gram, halves.gram))
    (6, 6, True)
    """

    size: int
    stride: int
    start: int  # number of the first row in its series
    stop: int  # number of the row after the last in the last row's series
    is_one_series: bool
    gram: FloatArray  # (size * (n_features + 1),) squared
    head: FeatureBlock  # (n_features, <= halo): first rows of the first series
    tail: FeatureBlock  # (n_features, <= halo): last rows of the last series
    label_after: int = 0  # rows that follow a window in its series, or it is not counted

    @classmethod
    def of(cls, rows: FeatureBlock, /, *, start: int, size: int, stride: int, borders: IntArray = NO_BORDERS) -> Self:
        """Return the state of the windows of one stride; see `of_strides`."""
        (state,) = cls.of_strides(rows, start=start, size=size, strides=[stride], borders=borders)
        return state

    @classmethod
    def of_strides(
        cls,
        rows: FeatureBlock,
        /,
        *,
        start: int,
        size: int,
        strides: Sequence[int],
        borders: IntArray = NO_BORDERS,
        label_after: int = 0,
    ) -> list[Self]:
        """Return the states of several strides over the same rows; the strides share matrix products.

        Parameters
        ----------
        rows : float32 array of shape (n_features, n_rows)
            Adjacent rows.
        start : int
            Number of the first row in its series.
        size, strides : int, sequence of int
            Rows in a window, rows from one window's start to the next one's.
        borders : int64 array, optional
            Places in `rows`, ascending, whose row begins another series.
        label_after : int
            Rows from a window's last one to the one that has its label; a window without such a row is not counted.
        """
        n_rows, halo = rows.shape[1], size - 1 + label_after
        kept = without_last(label_after, start=start, n_rows=n_rows, borders=borders)
        with wide_enough_for(rows):
            grams = window_grams(rows[:, kept.places], start=kept.start, size=size, strides=strides, borders=kept.borders)
        origins, stops = series_bounds(start, n_rows, borders)
        stop = n_rows - int(origins[-1])
        head = rows[:, : min(halo, stops[0])].copy()
        tail = rows[:, max(n_rows - halo, origins[-1], 0) :].copy()
        ends = start, stop, not len(borders)
        return [cls(size, stride, *ends, grams[stride], head, tail, label_after) for stride in strides]

    @property
    def n_windows(self) -> int:
        """Number of windows counted."""
        one = len(self.gram) // self.size - 1
        return round(float(self.gram[one, one]))

    def merge(self, other: Self, /) -> Self:
        """Return the state of this segment and the one that follows it.

        Raises
        ------
        ValueError
            If `other` neither begins a series nor continues the last one of this segment.
        """
        if other.start not in (0, self.stop):
            raise ValueError(f"Segments must adjoin: one ends at row {self.stop}, the other begins at {other.start}.")
        if self._is_empty:
            return other
        if other._is_empty:
            return self
        halo = self.size - 1 + self.label_after
        if other.start == 0:  # of another series
            return replace(other, start=self.start, is_one_series=False, gram=self.gram + other.gram, head=self.head)
        gram = self.gram + other.gram + self._across(other)
        head, tail = self.head, other.tail
        if self.is_one_series:
            head = np.concatenate([head, other.head], axis=1)[:, :halo]
        if other.is_one_series:
            tail = np.concatenate([self.tail, tail], axis=1)
            tail = tail[:, max(tail.shape[1] - halo, 0) :]
        is_one_series = self.is_one_series and other.is_one_series
        return replace(other, start=self.start, is_one_series=is_one_series, gram=gram, head=head, tail=tail)

    @property
    def _is_empty(self) -> bool:
        return self.is_one_series and self.start == self.stop

    def _across(self, other: Self) -> FloatArray:
        """Return the Gram matrix of the windows that begin in this segment's last series and end in the next segment."""
        bridge = np.concatenate([self.tail, other.head], axis=1)
        first = self.stop - self.tail.shape[1]
        starts = [
            p - first
            for p in range(_ceil_to(first, self.stride), self.stop, self.stride)
            if self.stop < p + self.size + self.label_after <= first + bridge.shape[1]
        ]
        return _gram_of_windows(_with_ones(bridge), starts, self.size)

    def to_arrays(self) -> Arrays:
        """Return the state as named arrays."""
        ends = self.start, self.stop, self.is_one_series
        numbers = np.array([self.size, self.stride, *ends, self.label_after], np.int64)
        return {"numbers": numbers, "gram": self.gram, "head": self.head, "tail": self.tail}

    @classmethod
    def from_arrays(cls, arrays: Arrays, /) -> Self:
        """Return the state that `to_arrays` wrote."""
        size, stride, start, stop, is_one_series, label_after = map(int, arrays["numbers"])
        return cls(size, stride, start, stop, bool(is_one_series), arrays["gram"], arrays["head"], arrays["tail"], label_after)


def merge_segments(states: Iterable[Sequence[WindowGram]], /) -> list[WindowGram]:
    """Merge the states of adjoining segments in order, each a list of one state per stride; without segments return none.

    Examples
    --------
    >>> x = np.arange(14, dtype=np.float32).reshape(1, 14)
    >>> parts = (WindowGram.of_strides(x[:, a:b], start=a, size=3, strides=[1, 2]) for a, b in [(0, 5), (5, 14)])
    >>> [state.n_windows for state in merge_segments(parts)]
    [12, 6]
    """
    merged: list[WindowGram] = []
    for more in states:
        merged = [a.merge(b) for a, b in zip(merged, more, strict=True)] if merged else list(more)
    return merged


def window_grams(
    rows: FeatureBlock, /, *, start: int, size: int, strides: Sequence[int], borders: IntArray = NO_BORDERS
) -> dict[int, FloatArray]:
    """Return the Gram matrices, by stride, of the complete windows within `rows`, computed on the current backend.

    Parameters
    ----------
    rows : array of shape (n_features, n_rows)
        Adjacent rows.
    start : int
        Number of the first row in its series; windows start at multiples of the stride.
    size, strides : int, sequence of int
        Rows in a window, rows from one window's start to the next one's.
    borders : int64 array, optional
        Places in `rows`, ascending, whose row begins another series.

    Returns
    -------
    dict of arrays of shape (size * (n_features + 1), size * (n_features + 1)), float64
        Windows are flattened row by row; each row ends with a one.
    """
    n_features, n_rows = rows.shape
    if len(borders):
        places = {s: window_places(size, s, start=start, n_rows=n_rows, borders=borders) for s in strides}
        return {s: _of_built_windows(rows, starts, size) for s, starts in places.items()}
    phases = {stride: -start % stride for stride in strides}  # first row, within `rows`, of the first window
    few = [s for s in strides if s >= _LONG_STRIDE or n_rows < 4 * size]
    grams = {s: _of_few_windows(rows, range(phases[s], n_rows - size + 1, s), size) for s in few}
    many = [s for s in strides if s not in grams]
    for sharing in _sharing_a_period(many, size=size, width=n_features + 1):
        grams |= _by_lags(rows, {s: phases[s] for s in sharing}, size)
    return grams


def _by_lags(rows: FeatureBlock, phases: Mapping[int, int], size: int) -> dict[int, FloatArray]:
    """Return the Gram matrices of strides that share their products; the products are freed on return."""
    period = _period([*phases], size)
    products = _lagged_products(rows, period, _reaches(period, phases, size))
    return {
        s: _from_products(products, period, phase, size, s) - _incomplete(rows, phase, size, s) for s, phase in phases.items()
    }


def _sharing_a_period(strides: Sequence[int], *, size: int, width: int) -> list[list[int]]:
    """Group strides whose common period is short, so that sharing products pays."""
    groups: list[list[int]] = []
    for stride in sorted(strides):
        for group in groups:
            period = _period([*group, stride], size)
            if period <= _MAX_PERIOD and 8 * period * size * width**2 <= _MAX_PRODUCT_BYTES:
                group.append(stride)
                break
        else:
            groups.append([stride])
    return groups


def _period(strides: Sequence[int], size: int) -> int:
    """Return the smallest common multiple of the strides that is at least a window long.

    Examples
    --------
    >>> _period([1, 3], 5), _period([7], 5)
    (6, 7)
    """
    return _ceil_to(size, math.lcm(*strides))


def _reaches(period: int, phases: Mapping[int, int], size: int) -> dict[int, int]:
    """Return, for each row of a period that lies in a window, the most rows from it to the end of a window."""
    reaches = {p: max(size - (p - phase) % stride for stride, phase in phases.items()) for p in range(period)}
    return {p: reach for p, reach in reaches.items() if reach > 0}


def _lagged_products(rows: FeatureBlock, period: int, reaches: Mapping[int, int]) -> dict[int, FloatArray]:
    """Return the sums of ``x[p] [x[p], x[p + 1], ...].T`` over the rows at place `p` of their period.

    The arrays have shape ``(width, reaches[p] * width)``. One thread sums each, block after block, so that the number of
    threads does not change the last bit.
    """
    n_rows, width, here = rows.shape[1], rows.shape[0] + 1, on_host()
    block_rows = max((_HOST_BLOCK_ROWS if here else _DEVICE_BLOCK_ROWS) // period, 4) * period
    sums = {p: np.zeros((width, reach * width)) for p, reach in reaches.items()}

    def add_up(some: Sequence[int]) -> None:
        for begin in range(0, n_rows, block_rows):
            n = min(block_rows, _ceil_to(n_rows - begin, period))
            # One period more than the rows of the block: its last rows are multiplied with the rows after it.
            flat = ops.reshape(rows_with_ones(rows[:, begin : begin + n + period], n + period), (-1,))
            for p in some:
                lines = ops.reshape(flat[p * width : (p + n) * width], (n // period, period * width))
                sums[p] += (lines[:, :width].mT @ lines[:, : reaches[p] * width]).numpy()

    # Each thread transposes all rows for its own places; on a device, each would transfer all of them again.
    n_threads = threads_for(12 * width * block_rows) if here and n_rows > block_rows else 1
    places = list(reaches)
    each_block(add_up, [places[i::n_threads] for i in range(n_threads)])
    return sums


def _from_products(products: Mapping[int, FloatArray], period: int, phase: int, size: int, stride: int) -> FloatArray:
    """Return the Gram matrix of all windows of the zero-padded series, from its lagged products."""
    width = len(next(iter(products.values())))
    gram = np.empty((size, width, size, width))
    for lag in range(size):
        for residue in range(min(stride, size - lag)):
            places = range((phase + residue) % stride, period, stride)
            total = sum(products[p][:, lag * width : (lag + 1) * width] for p in places)
            for i in range(residue, size - lag, stride):
                gram[i, :, i + lag] = total
                gram[i + lag, :, i] = np.transpose(total)
    return gram.reshape(size * width, size * width)


def _incomplete(rows: FeatureBlock, phase: int, size: int, stride: int) -> FloatArray:
    """Return the Gram matrix of the windows that reach past the first or last row of the series into the padding."""
    halo, n_rows = size - 1, rows.shape[1]
    padding = np.zeros((halo, rows.shape[0] + 1))
    before = np.concatenate([padding, _with_ones(rows[:, :halo])])
    after = np.concatenate([_with_ones(rows[:, n_rows - halo :]), padding])
    first_starts = [p + halo for p in range(-halo, 0) if (p - phase) % stride == 0]
    last_starts = [p - (n_rows - halo) for p in range(n_rows - halo, n_rows) if (p - phase) % stride == 0]
    return _gram_of_windows(before, first_starts, size) + _gram_of_windows(after, last_starts, size)


def _of_built_windows(rows: FeatureBlock, starts: IntArray, size: int) -> FloatArray:
    """Return the Gram matrix of windows by building them, a block at a time."""
    width = size * (rows.shape[0] + 1)
    gram = np.zeros((width, width))
    for begin in range(0, len(starts), _BUILT_WINDOWS):
        gram += _of_few_windows(rows, starts[begin : begin + _BUILT_WINDOWS], size)
    return gram


def _of_few_windows(rows: FeatureBlock, starts: Sequence[int] | IntArray, size: int) -> FloatArray:
    """Return the Gram matrix of few windows by building them; only their rows are read."""
    index = (np.asarray(starts, np.int64)[:, None] + np.arange(size)).reshape(-1)
    return _gram_of_windows(_with_ones(rows[:, index]), range(0, len(index), size), size)


def _gram_of_windows(rows: FloatArray, starts: Sequence[int], size: int) -> FloatArray:
    """Return the Gram matrix of windows of a matrix of rows by building them."""
    index = np.asarray(starts, np.int64)[:, None] + np.arange(size)
    windows: FloatArray = rows[index.reshape(-1)].reshape(len(index), size * rows.shape[1])
    gram: FloatArray = windows.T @ windows
    return gram


def _with_ones(rows: FeatureBlock) -> FloatArray:
    """Return rows as float64 of shape ``(n_rows, n_features + 1)``, each with a one appended."""
    ones = np.ones((rows.shape[1], rows.shape[0] + 1))
    ones[:, :-1] = rows.T
    return ones


def _ceil_to(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
