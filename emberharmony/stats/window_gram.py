"""The Gram matrix of all windows of a series, without building a window.

Windows of neighbouring rows share their rows: entry block (i, j) of the Gram matrix of windows is a sum of products
``x[p + i] x[p + j].T`` over the windows' first rows ``p``, and depends on ``i`` modulo the stride and on the lag ``j - i``
only. The series is cut into periods of `L` rows, each seen as one long row (a reshape, no copy). One product of the
periods with themselves and a smaller one with their successors hold every pair of rows that any stride dividing `L`
needs, at the speed of large matrix products. A series padded with zero rows counts a few incomplete windows too many:
they are subtracted by name.

Rows carry a constant one as their last column, so that the same matrix holds the windows' count and their sums.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from emberharmony import ops
from emberharmony.stats.lines import line_blocks
from emberharmony.typing import Arrays, FeatureBlock, FloatArray

_MAX_PRODUCT_BYTES = 64 * 2**20  # of one period product; larger ones gain little speed


@dataclass(frozen=True)
class WindowGram:
    """Gram matrix, sums and count of the windows of one stretch of a series.

    States of adjoining stretches merge into the state of both: windows across the border are added from the rows that
    each keeps of its ends. Windows start where the row's number in the *series* is a multiple of the stride, so chunking
    moves none.

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
    start: int  # number in the series of the first row
    n_rows: int
    gram: FloatArray  # (size * (n_features + 1),) squared
    head: FeatureBlock  # (n_features, <= size - 1): first rows
    tail: FeatureBlock  # (n_features, <= size - 1): last rows

    @classmethod
    def of(cls, rows: FeatureBlock, /, *, start: int, size: int, stride: int) -> Self:
        """Return the state of the windows within `rows`, of shape ``(n_features, n_rows)``."""
        (state,) = cls.of_strides(rows, start=start, size=size, strides=[stride])
        return state

    @classmethod
    def of_strides(cls, rows: FeatureBlock, /, *, start: int, size: int, strides: Sequence[int]) -> list[Self]:
        """Return the states of several strides over the same rows, which share their matrix products."""
        grams = window_grams(rows, start=start, size=size, strides=strides)
        n_rows, halo = rows.shape[1], size - 1
        head, tail = rows[:, :halo].copy(), rows[:, max(n_rows - halo, 0) :].copy()
        return [cls(size, stride, start, n_rows, grams[stride], head, tail) for stride in strides]

    @property
    def stop(self) -> int:
        """Number in the series of the first row after this stretch."""
        return self.start + self.n_rows

    @property
    def n_windows(self) -> int:
        """Number of windows counted."""
        one = len(self.gram) // self.size - 1
        return round(float(self.gram[one, one]))

    def merge(self, other: Self, /) -> Self:
        """Return the state of this stretch and the one that follows it.

        Raises
        ------
        ValueError
            If `other` does not begin where this stretch ends.
        """
        if other.start != self.stop:
            raise ValueError(f"Stretches must adjoin: one ends at row {self.stop}, the other begins at {other.start}.")
        bridge = np.concatenate([self.tail, other.head], axis=1)
        first = self.stop - self.tail.shape[1]
        across = [
            p
            for p in range(_ceil_to(first, self.stride), self.stop, self.stride)
            if self.stop < p + self.size <= first + bridge.shape[1]
        ]
        gram = self.gram + other.gram + _gram_of_windows(_with_ones(bridge), [p - first for p in across], self.size)
        halo = self.size - 1
        head = np.concatenate([self.head, other.head], axis=1)[:, :halo] if self.n_rows < halo else self.head
        tail = np.concatenate([self.tail, other.tail], axis=1) if other.n_rows < halo else other.tail
        tail = tail[:, max(tail.shape[1] - halo, 0) :]
        return type(self)(self.size, self.stride, self.start, self.n_rows + other.n_rows, gram, head, tail)

    def to_arrays(self) -> Arrays:
        """Return the state as named arrays."""
        numbers = np.array([self.size, self.stride, self.start, self.n_rows], np.int64)
        return {"numbers": numbers, "gram": self.gram, "head": self.head, "tail": self.tail}

    @classmethod
    def from_arrays(cls, arrays: Arrays, /) -> Self:
        """Return the state that `to_arrays` wrote."""
        size, stride, start, n_rows = map(int, arrays["numbers"])
        return cls(size, stride, start, n_rows, arrays["gram"], arrays["head"], arrays["tail"])


def window_grams(rows: FeatureBlock, /, *, start: int, size: int, strides: Sequence[int]) -> dict[int, FloatArray]:
    """Gram matrices, by stride, of the complete windows within `rows`, computed on the current backend.

    Parameters
    ----------
    rows : array of shape (n_features, n_rows)
        A stretch of a series.
    start : int
        Number in the series of its first row; windows start at multiples of the stride.
    size, strides : int, sequence of int
        Rows in a window, rows from one window's start to the next one's.

    Returns
    -------
    dict of arrays of shape (size * (n_features + 1), size * (n_features + 1)), float64
        Windows flattened row by row, every row with a one as its last entry.
    """
    n_features, n_rows = rows.shape
    phases = {stride: -start % stride for stride in strides}  # first window's first row within `rows`
    if n_rows < 4 * size:
        ones = _with_ones(rows)
        return {s: _gram_of_windows(ones, range(phases[s], n_rows - size + 1, s), size) for s in strides}
    period = _cheapest_period(n_features + 1, size, strides)
    shared = [s for s in strides if period and period % s == 0]
    grams = {s: _gram_by_strides(rows, phases[s], size, s) for s in strides if s not in shared}
    if shared:
        own, following = _period_products(rows, period, size)
        for s in shared:
            grams[s] = _from_products(own, following, phases[s], size, s) - _incomplete(rows, phases[s], size, s)
    return grams


def _cheapest_period(width: int, size: int, strides: Sequence[int]) -> int:
    """Length of the period whose products serve most strides for the fewest operations; 0 for none."""

    def cost(period: int) -> float:  # in units of n_rows * width**2
        alone = sum(size * size / s for s in strides if not period or period % s)
        return alone + (period + 2 * (size - 1) ** 2 / period if period else 0)

    longest = int(math.sqrt(_MAX_PRODUCT_BYTES / 8) / width)
    periods = [0, *range(size, max(longest, size) + 1)]
    cheapest: int = min(periods, key=cost)
    return cheapest


def _period_products(rows: FeatureBlock, period: int, size: int) -> tuple[FloatArray, FloatArray]:
    """Products of all periods with themselves, and of their last rows with the first rows of their successors.

    Returns arrays of shape ``(period, width, period, width)`` and ``(size - 1, width, size - 1, width)``.
    """
    width = rows.shape[0] + 1
    halo = (size - 1) * width
    own = np.zeros((period * width, period * width))
    following = np.zeros((halo, halo))
    last = None
    for block in line_blocks(rows, period):
        own += (block.mT @ block).numpy()
        if halo:
            if last is not None:
                following += (ops.reshape(last[-halo:], (halo, 1)) * ops.reshape(block[0, :halo], (1, halo))).numpy()
            following += (block[:-1, period * width - halo :].mT @ block[1:, :halo]).numpy()
            last = block[-1, :]
    return own.reshape(period, width, period, width), following.reshape(size - 1, width, size - 1, width)


def _from_products(own: FloatArray, following: FloatArray, phase: int, size: int, stride: int) -> FloatArray:
    """Gram matrix of all windows of the zero-padded series, from the products of its periods."""
    period, width = own.shape[:2]
    gram = np.empty((size, width, size, width))
    for lag in range(size):
        for residue in range(min(stride, size - lag)):
            total = np.zeros((width, width))
            for p in range((phase + residue) % stride, period, stride):
                q = p + lag
                total += own[p, :, q] if q < period else following[p - (period - size + 1), :, q - period]
            for i in range(residue, size - lag, stride):
                gram[i, :, i + lag] = total
                gram[i + lag, :, i] = total.T
    return gram.reshape(size * width, size * width)


def _incomplete(rows: FeatureBlock, phase: int, size: int, stride: int) -> FloatArray:
    """Gram matrix of the windows of the zero-padded series that reach past its first or last row."""
    halo, n_rows = size - 1, rows.shape[1]
    padding = np.zeros((halo, rows.shape[0] + 1))
    before = np.concatenate([padding, _with_ones(rows[:, :halo])])
    after = np.concatenate([_with_ones(rows[:, n_rows - halo :]), padding])
    first_starts = [p + halo for p in range(-halo, 0) if (p - phase) % stride == 0]
    last_starts = [p - (n_rows - halo) for p in range(n_rows - halo, n_rows) if (p - phase) % stride == 0]
    return _gram_of_windows(before, first_starts, size) + _gram_of_windows(after, last_starts, size)


def _gram_by_strides(rows: FeatureBlock, phase: int, size: int, stride: int) -> FloatArray:
    """Gram matrix from windows that do not overlap, taken in as many turns as keep them apart; rows seen, not copied."""
    width = rows.shape[0] + 1
    turns = -(-size // stride)
    step = turns * stride
    gram = np.zeros((size * width, size * width))
    for turn in range(turns):
        first = phase + turn * stride
        n_windows = max(0, (rows.shape[1] - size - first) // step + 1)
        # The last window may end before its step does: `lines` pads with zeros what is never looked at.
        for block in line_blocks(rows[:, first : first + n_windows * step], step):
            windows = block[:, : size * width]
            gram += (windows.mT @ windows).numpy()
    return gram


def _with_ones(rows: FeatureBlock) -> FloatArray:
    """Rows as float64 of shape ``(n_rows, n_features + 1)``, a one at each one's end."""
    ones = np.ones((rows.shape[1], rows.shape[0] + 1))
    ones[:, :-1] = rows.T
    return ones


def _gram_of_windows(rows: FloatArray, starts: Sequence[int], size: int) -> FloatArray:
    """Gram matrix of a few windows, built; the obvious way, for the ends of a stretch."""
    index = np.asarray(starts, np.int64)[:, None] + np.arange(size)
    windows: FloatArray = rows[index.reshape(-1)].reshape(len(index), size * rows.shape[1])
    gram: FloatArray = windows.T @ windows
    return gram


def _ceil_to(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
