"""The Gram matrix of all windows of one or several series, without building a window.

Each row ends with a constant one, so that the same matrix holds the sums of the windows and their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from emberharmony.stats.built import add_gram_of_windows, with_ones
from emberharmony.stats.places import NO_BORDERS, Bounds, series_bounds
from emberharmony.stats.rows import wide_enough_for
from emberharmony.stats.series_grams import add_many_series, add_series
from emberharmony.typing import Arrays, FeatureBlock, FloatArray, IntArray


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
        origins, stops = series_bounds(start, n_rows, borders)
        with wide_enough_for(rows):
            grams = window_grams(rows, Bounds(origins, stops - label_after), size=size, strides=strides)
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

    def merge(self, other: Self, /, *, out: FloatArray | None = None) -> Self:
        """Return the state of this segment and the one that follows it.

        Parameters
        ----------
        other : WindowGram
            The state of the segment that follows.
        out : float64 array, optional
            A matrix for the sum, which may be that of this state; by default a new one.

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
        gram = np.add(self.gram, other.gram, out=out)
        if other.start == 0:  # of another series
            return replace(other, start=self.start, is_one_series=False, gram=gram, head=self.head)
        self._add_across(gram, other)
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

    def _add_across(self, gram: FloatArray, other: Self) -> None:
        """Add the windows that begin in this segment's last series and end in the next segment."""
        bridge = np.concatenate([self.tail, other.head], axis=1)
        first = self.stop - self.tail.shape[1]
        starts = [
            p - first
            for p in range(first + -first % self.stride, self.stop, self.stride)
            if self.stop < p + self.size + self.label_after <= first + bridge.shape[1]
        ]
        add_gram_of_windows(gram, with_ones(bridge), starts, self.size)

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
    sums: list[GramSum] = []
    for more in states:
        sums = sums or [GramSum() for _ in more]
        for total, state in zip(sums, more, strict=True):
            total.add(state)
    return [total.state for total in sums if total.state is not None]


class GramSum:
    """The sum of the states of adjoining segments, which are added in order; all are added to one matrix.

    Parameters
    ----------
    owns : bool
        Whether the matrix of the first state may be that one, as nobody else needs it; by default it is a new one.

    Examples
    --------
    >>> x, total = np.arange(14, dtype=np.float32).reshape(1, 14), GramSum()
    >>> for a, b in [(0, 5), (5, 9), (9, 14)]:
    ...     total.add(WindowGram.of(x[:, a:b], start=a, size=3, stride=2))
    >>> total.state.n_windows
    6
    """

    def __init__(self, *, owns: bool = False) -> None:
        self.state: WindowGram | None = None
        """The state of all segments; ``None`` before the first one."""
        self._owns, self._is_own = owns, owns  # whether nobody else has the matrix of the state

    def add(self, state: WindowGram, /) -> None:
        """Add the state of the segment that follows."""
        before = self.state
        if before is None:
            self.state = state
            return
        merged = before.merge(state, out=before.gram if self._is_own else None)
        self._is_own = self._owns or (merged is not state and (self._is_own or merged is not before))
        self.state = merged


def window_grams(rows: FeatureBlock, bounds: Bounds, /, *, size: int, strides: Sequence[int]) -> dict[int, FloatArray]:
    """Return the Gram matrices, by stride, of the complete windows within `rows`, computed on the current backend.

    Parameters
    ----------
    rows : array of shape (n_features, n_rows)
        Adjacent rows.
    bounds : Bounds
        Where each series begins and stops in `rows`; only the first one may begin before them.
    size, strides : int, sequence of int
        Rows in a window, rows from one window's start to the next one's.

    Returns
    -------
    dict of arrays of shape (size * (n_features + 1), size * (n_features + 1)), float64
        Windows are flattened row by row; each row ends with a one.
    """
    width = size * (rows.shape[0] + 1)
    grams = {stride: np.zeros((width, width)) for stride in strides}
    start = -int(bounds.origins[0])
    if start or len(bounds.origins) == 1:
        add_series(grams, rows[:, : max(bounds.stops[0], 0)], start=start, size=size)
        bounds = Bounds(bounds.origins[1:], bounds.stops[1:])
    add_many_series(grams, rows, bounds, size=size)
    return grams
