"""The rows of one or several series on disk, to be read a second time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from emberharmony.errors import DataError
from emberharmony.notebook.matrix_batch import MatrixBatch
from emberharmony.notebook.spool import RowSpool
from emberharmony.series import Segment
from emberharmony.typing import FloatArray

_COPIED_ROWS = 65_536


class SeriesSpool(RowSpool):
    """Batches of rows on disk, less the means of the first one, and where each series begins."""

    def __init__(self) -> None:
        super().__init__()
        self.shift: FloatArray = np.empty(0)
        self._starts: list[int] = []  # first row of each series

    def add(self, batch: MatrixBatch, *, new_series: bool) -> None:
        """Append a batch to the last series, or begin a new one with it."""
        if not self.n_rows:
            self.shift = _finite_means(batch)
        batch.check_width(len(self.shift))
        if new_series or not self._starts:
            self._starts.append(self.n_rows)
        for block in batch.blocks(self.shift, _COPIED_ROWS):
            self.append(block)

    def check_not_empty(self) -> None:
        """Raise a DataError if there are no rows."""
        if not self.n_rows:
            raise DataError("The batches hold no rows; there is nothing to make windows of.")

    def segments(self, batch_rows: int, halo: int) -> Iterator[Segment]:
        """Yield segments of `batch_rows` new rows, and before them the last rows of their series: at most `halo`."""
        starts = np.array(self._starts, np.int64)
        for begin in range(0, self.n_rows, batch_rows):
            stop = min(begin + batch_rows, self.n_rows)
            origin = int(starts[np.searchsorted(starts, begin, side="right") - 1])
            first = max(begin - halo, origin)
            borders = starts[np.searchsorted(starts, first, side="right") : np.searchsorted(starts, stop)] - first
            yield Segment(first - origin, self.read(first, stop), borders=borders)

    def last(self, n_rows: int) -> Segment:
        """Return the last rows of a spool of one series."""
        start = max(self.n_rows - n_rows, 0)
        return Segment(start, self.read(start, self.n_rows))


def _finite_means(batch: MatrixBatch) -> FloatArray:
    with np.errstate(over="ignore"):
        means = batch.values.mean(axis=0, dtype=np.float64)
    return np.where(np.isfinite(means), means, 0.0)
