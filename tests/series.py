"""Rows of several series, and slow, obvious answers about their windows."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st


@dataclass(frozen=True)
class SeveralSeries:
    """Rows of several series one after another; the first may begin before the rows."""

    start: int  # number of the first row in its series
    lengths: tuple[int, ...]

    @property
    def n_rows(self):
        return sum(self.lengths)

    @property
    def borders(self):
        return np.cumsum(self.lengths[:-1], dtype=np.int64)

    def numbers(self):
        """Number of each row in its series."""
        first = self.start + np.arange(self.lengths[0])
        return np.concatenate([first, *(np.arange(n) for n in self.lengths[1:])])

    def chunks(self, cuts):
        """Parts of the rows: each as (first row, row after the last, number of the first row in its series, borders)."""
        numbers, borders = self.numbers(), self.borders
        ends = [0, *sorted(min(cut, self.n_rows) for cut in cuts), self.n_rows]
        for a, b in itertools.pairwise(ends):
            if a < b:
                yield a, b, int(numbers[a]), borders[(borders > a) & (borders < b)] - a


@st.composite
def several_series(draw, *, longest=25, most=12):
    start = draw(st.just(0) | st.integers(0, 20))
    return SeveralSeries(start, tuple(draw(st.lists(st.integers(1, longest), min_size=1, max_size=most))))


def places_by_trying(rows, size, stride):
    """Places of all rows at which a window begins."""
    numbers = rows.numbers()
    return [
        p
        for p in range(rows.n_rows - size + 1)
        if numbers[p] % stride == 0 and numbers[p : p + size].tolist() == list(range(numbers[p], numbers[p] + size))
    ]


def built_windows(block, places, size):
    """Windows of a block of shape (n_features, n_rows), each flattened row by row to a row of float64."""
    return np.array([block[:, p : p + size].T.ravel() for p in places], np.float64).reshape(len(places), size * len(block))
