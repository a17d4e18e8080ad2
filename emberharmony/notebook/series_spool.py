"""The rows of one or several series on disk, to be read a second time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from emberharmony.errors import DataError
from emberharmony.notebook.matrix_batch import MatrixBatch
from emberharmony.notebook.series_segments import NumberedSegment
from emberharmony.notebook.spool import RowSpool
from emberharmony.series import Segment
from emberharmony.typing import FloatArray, IntArray

_COPIED_ROWS = 65_536


class SeriesSpool(RowSpool):
    """Batches of rows on disk, less the means of the first one, and where each series begins."""

    def __init__(self) -> None:
        super().__init__()
        self.shift: FloatArray = np.empty(0)
        self._starts: list[int] = []  # first row of each series

    def add(self, batch: MatrixBatch, begins: IntArray) -> None:
        """Append a batch; series begin at some of its rows."""
        if not self.n_rows:
            self.shift = _finite_means(batch)
        batch.check_width(len(self.shift))
        self._starts.extend((begins + self.n_rows).tolist())
        for block in batch.blocks(self.shift, _COPIED_ROWS):
            self.append(block)

    def check_not_empty(self) -> None:
        """Raise a DataError if there are no rows."""
        if not self.n_rows:
            raise DataError("The batches hold no rows; there is nothing to make windows of.")

    def segments(self, batch_rows: int, halo: int) -> Iterator[NumberedSegment]:
        """Yield segments of `batch_rows` new rows, and before them the last rows of their series: at most `halo`."""
        starts = np.array(self._starts, np.int64)
        for begin in range(0, self.n_rows, batch_rows):
            stop = min(begin + batch_rows, self.n_rows)
            series = int(np.searchsorted(starts, begin, side="right")) - 1
            origin = int(starts[series])
            first = max(begin - halo, origin)
            borders = starts[np.searchsorted(starts, first, side="right") : np.searchsorted(starts, stop)] - first
            yield NumberedSegment(first - origin, self.read(first, stop), borders=borders, series=series)

    def last(self, n_rows: int) -> Segment:
        """Return the last rows of the last series: at most `n_rows`."""
        origin = self._starts[-1]
        start = max(self.n_rows - n_rows, origin)
        return Segment(start - origin, self.read(start, self.n_rows))


def _finite_means(batch: MatrixBatch) -> FloatArray:
    with np.errstate(over="ignore"):
        means = batch.values.mean(axis=0, dtype=np.float64)
    return np.where(np.isfinite(means), means, 0.0)
