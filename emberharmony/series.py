"""Segments of a series: adjacent rows, and the windows that they hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from emberharmony.typing import FeatureBlock
from emberharmony.windows import window_starts


@dataclass(frozen=True)
class Segment:
    """Adjacent rows of one series.

    A segment owns the windows that lie in it. Its last `size` - 1 rows, the halo, begin no such window. Segments of a series
    overlap by the halo, so that each window has one owner.

    Examples
    --------
    >>> segment = Segment(4, np.zeros((2, 7), np.float32))
    >>> segment.stop, list(segment.window_starts(5, 3)), segment.last(4).start
    (11, [6], 7)
    """

    start: int  # number of the first row in the series
    block: FeatureBlock  # (n_features, n_rows)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.block.shape[1])

    @property
    def stop(self) -> int:
        """Number in the series of the row after the last."""
        return self.start + self.n_rows

    def window_starts(self, size: int, stride: int) -> range:
        """First rows, in the series, of the windows that lie in the segment."""
        return window_starts(size, stride, start=self.start, stop=self.stop, n_rows=self.stop)

    def last(self, n_rows: int) -> Segment:
        """Return the last rows, or all of them if there are fewer."""
        skipped = max(self.n_rows - n_rows, 0)
        return Segment(self.start + skipped, self.block[:, skipped:])


def overlapping_segments(blocks: Iterable[FeatureBlock], halo: int, *, before: Segment | None = None) -> Iterator[Segment]:
    """Cut a series that comes in blocks into segments that overlap by the halo.

    Parameters
    ----------
    blocks : iterable of arrays of shape (n_features, n_rows)
        The rows, in order.
    halo : int
        Rows that the next segment repeats: the window size less one, or none for segments that adjoin.
    before : Segment, optional
        The last rows of the series so far, which the first segment begins with.

    Examples
    --------
    >>> rows = np.arange(10, dtype=np.float32).reshape(1, 10)
    >>> [(part.start, part.stop) for part in overlapping_segments([rows[:, :6], rows[:, 6:]], halo=2)]
    [(0, 6), (4, 10)]
    """
    for block in blocks:
        segment = Segment(0, block) if before is None else _extended(before, block)
        yield segment
        before = segment.last(halo)


def _extended(segment: Segment, block: FeatureBlock) -> Segment:
    rows = np.concatenate([segment.block, block], axis=1) if segment.n_rows else block
    return Segment(segment.start, rows)
