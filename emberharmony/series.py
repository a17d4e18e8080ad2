"""Segments: adjacent rows of one or several series, and the windows that they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from emberharmony.stats.places import NO_BORDERS, window_places
from emberharmony.typing import FeatureBlock, IntArray


@dataclass(frozen=True)
class Segment:
    """Adjacent rows, in job order, of one series or of several ones after another.

    A segment owns the windows that lie in it. Segments of a series overlap by the halo, `size` - 1 rows, so that each window
    has one owner.

    Examples
    --------
    >>> segment = Segment(4, np.zeros((2, 12), np.float32), borders=np.array([7]))  # rows 4 to 10, and 0 to 4 of another
    >>> segment.stop, segment.window_starts(5, 3).tolist(), segment.last(4).start
    (5, [2, 7], 1)
    """

    start: int  # number, in its series, of the first row
    block: FeatureBlock  # (n_features, n_rows)
    borders: IntArray = field(default_factory=lambda: NO_BORDERS, kw_only=True)
    """Places in the block, ascending, within ``(0, n_rows)``, whose row begins another series."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.block.shape[1])

    @property
    def stop(self) -> int:
        """Number, in the last series, of the row after the last."""
        return self.n_rows - int(self.borders[-1]) if len(self.borders) else self.start + self.n_rows

    def window_starts(self, size: int, stride: int) -> IntArray:
        """First rows, as places in the block, of the windows that lie in the segment."""
        return window_places(size, stride, start=self.start, n_rows=self.n_rows, borders=self.borders)

    def last(self, n_rows: int) -> Segment:
        """Return the last rows of the last series: at most `n_rows`."""
        begin = int(self.borders[-1]) if len(self.borders) else 0
        kept = min(n_rows, self.n_rows - begin)
        return Segment(self.stop - kept, self.block[:, self.n_rows - kept :])


def joined_borders(segments: Sequence[Segment]) -> tuple[int, IntArray]:
    """Return the start and the borders of segments that follow one another, each of at least one row.

    A segment that starts at row 0 begins another series. Any other one continues the last series of the segment before it.

    Raises
    ------
    ValueError
        If a segment continues a series at another row than the one where the segment before it ends.

    Examples
    --------
    >>> rows = np.zeros((1, 3), np.float32)
    >>> start, borders = joined_borders([Segment(7, rows), Segment(10, rows), Segment(0, rows)])
    >>> start, borders.tolist()
    (7, [6])
    """
    borders, place, stop = list[IntArray](), 0, segments[0].start
    for segment in segments:
        if segment.start not in (0, stop):
            raise ValueError(f"Segments must adjoin: one ends at row {stop}, the next begins at {segment.start}.")
        if place and not segment.start:
            borders.append(np.array([place]))
        borders.append(segment.borders + place)
        place, stop = place + segment.n_rows, segment.stop
    return segments[0].start, np.concatenate(borders)


def joined(segments: Sequence[Segment]) -> Segment:
    """Return segments that follow one another as one; the rows are copied."""
    start, borders = joined_borders(segments)
    return Segment(start, np.concatenate([segment.block for segment in segments], axis=1), borders=borders)
