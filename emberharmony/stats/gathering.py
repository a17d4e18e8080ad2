"""Windows of rows, gathered into matrices in memory that is used again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberharmony import ops
from emberharmony.stats.rows import compute_dtype, fill_with_ones, on_host, rows_with_ones
from emberharmony.typing import FeatureBlock, IntArray

_SPARSE = 2.5
"""Of so many adjacent rows for each that is gathered, all are transposed first: rows of a matrix are copied faster than single
numbers."""


class Gathering:
    """Gathers windows of rows, each row with a one appended, flattened row by row to the rows of a matrix.

    A matrix is valid until the next one is gathered. Its memory is used again: fresh pages cost more than the copy.

    Parameters
    ----------
    rows : array of shape (n_features, n_rows)
        The rows.
    length : int
        Rows of a window.

    Examples
    --------
    >>> gathering = Gathering(np.array([[5, 6, 7]], np.float32), 2)
    >>> gathering.windows(np.array([0, 2]), stops=np.array([2, 3])).numpy().tolist()
    [[5.0, 1.0, 6.0, 1.0], [7.0, 1.0, 0.0, 0.0]]
    """

    def __init__(self, rows: FeatureBlock, length: int) -> None:
        self._rows, self._length = rows, length
        self._buffers: dict[str, NDArray[Any]] = {}

    def windows(self, starts: IntArray, *, stops: IntArray) -> Any:
        """Return the windows that begin at `starts`; rows from `stops` on are zeros.

        The shape is ``(n_windows, length * (n_features + 1))``, the type float64, or float32 on a device without it.
        """
        if not len(starts):
            return ops.zeros((0, self._length * (self._rows.shape[0] + 1)), dtype=compute_dtype())
        n_windows, n_features = len(starts), self._rows.shape[0]
        at = int(starts.min())
        n_rows = min(int(starts.max()) + self._length, self._rows.shape[1]) - at
        index = starts[:, None] + np.arange(self._length)
        beyond = np.flatnonzero(index >= stops[:, None])
        index = index.reshape(-1)
        if n_rows <= _SPARSE * len(index):
            index -= at
            index[beyond] = n_rows  # a row of zeros
            taken = self._taken(self._rows[:, at : at + n_rows], index)
        else:
            columns = self._buffer("columns", (n_features, len(index)), self._rows.dtype)
            self._rows.take(index, axis=1, out=columns, mode="clip")
            taken = self._cleared(columns, beyond)
        return ops.reshape(taken, (n_windows, -1))

    def _taken(self, rows: FeatureBlock, index: IntArray) -> Any:
        """Return some of the rows, of which the one after the last is zeros."""
        n_features, n_rows = rows.shape
        if not on_host():
            return ops.take(rows_with_ones(rows, n_rows + 1), ops.asarray(index), axis=0)
        table = fill_with_ones(self._buffer("table", (n_rows + 1, n_features + 1)), rows)
        taken = self._buffer("taken", (len(index), n_features + 1))
        return ops.asarray(table.take(index, axis=0, out=taken, mode="clip"))

    def _cleared(self, rows: FeatureBlock, beyond: IntArray) -> Any:
        """Return the rows, of which some become zeros."""
        n_features, n_rows = rows.shape
        if not on_host():
            index = np.arange(n_rows)
            index[beyond] = n_rows
            return self._taken(rows, index)
        taken = fill_with_ones(self._buffer("taken", (n_rows, n_features + 1)), rows)
        taken[beyond] = 0.0
        return ops.asarray(taken)

    def _buffer(self, name: str, shape: tuple[int, int], dtype: Any = None) -> NDArray[Any]:
        needed = shape[0] * shape[1]
        if name not in self._buffers or len(self._buffers[name]) < needed:
            self._buffers[name] = np.empty(needed, dtype or (np.float64 if compute_dtype() == ops.float64 else np.float32))
        return self._buffers[name][:needed].reshape(shape)
