"""Segments of series that come in blocks, and which of the series each one begins in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from emberharmony.series import Segment
from emberharmony.typing import FeatureBlock, IntArray


@dataclass(frozen=True)
class NumberedSegment(Segment):
    """Adjacent rows of series that have numbers."""

    series: int = field(kw_only=True)  # number of the series of the first row

    def window_keys(self, places: IntArray) -> IntArray:
        """Return, for windows that begin at some places, the number of the series, and of the first row in it.

        The shape is ``(2, n_windows)``.

        Examples
        --------
        >>> segment = NumberedSegment(4, np.zeros((2, 12), np.float32), borders=np.array([7]), series=3)
        >>> segment.window_keys(np.array([2, 7, 9])).tolist()
        [[3, 4, 4], [6, 0, 2]]
        """
        of = np.searchsorted(self.borders, places, side="right")
        origins = np.concatenate([[-self.start], self.borders])
        return np.stack([self.series + of, places - origins[of]])


def numbered_segments(
    blocks: Iterable[tuple[FeatureBlock, IntArray]], halo: int, *, before: Segment | None = None
) -> Iterator[NumberedSegment]:
    """Cut series that come in blocks into segments that overlap by the halo.

    Parameters
    ----------
    blocks : iterable of pairs of arrays
        The rows in order, of shape ``(n_features, n_rows)``, and the places, ascending, of those that begin a series.
    halo : int
        Rows that the next segment repeats if its first series goes on.
    before : Segment, optional
        The last rows of a series that the first block may continue. Otherwise a series has to begin at its first row.

    Examples
    --------
    >>> rows = np.arange(10, dtype=np.float32).reshape(1, 10)
    >>> blocks = [(rows[:, :6], np.array([0, 4])), (rows[:, 6:], np.array([3]))]
    >>> [(part.start, part.n_rows, part.borders.tolist(), part.series) for part in numbered_segments(blocks, halo=2)]
    [(0, 6, [4], 0), (0, 6, [5], 1)]
    """
    series, is_first = 0, True
    for block, begins in blocks:
        if len(begins) and begins[0] == 0:
            series += not is_first
            before, begins = None, begins[1:]
        n_before, start = (before.n_rows, before.start) if before else (0, 0)
        rows = np.concatenate([before.block, block], axis=1) if before and n_before else block
        segment = NumberedSegment(start, rows, borders=begins + n_before, series=series)
        yield segment
        series, is_first = series + len(begins), False
        before = segment.last(halo)
