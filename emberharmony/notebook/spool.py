"""Rows and scores in temporary files, which are removed when they are closed."""

from __future__ import annotations

import tempfile
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from emberharmony.typing import FeatureBlock, IntArray


class _RowFile:
    """Rows in a temporary file, to which blocks are appended."""

    def __init__(self, n_columns: int = 0, dtype: type[np.number[Any]] = np.float32) -> None:
        self.n_rows = 0
        self._dtype = dtype
        self._n_columns = n_columns
        self._file = _temporary()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, block: FeatureBlock | IntArray, /) -> None:
        """Append a block of shape ``(n_columns, n_rows)``; all have the same columns."""
        self._n_columns = block.shape[0]
        self._file.seek(0, 2)
        self._file.write(np.ascontiguousarray(block.T, self._dtype).tobytes())
        self.n_rows += block.shape[1]


class RowSpool(_RowFile):
    """Blocks of rows, which can be read again in any order.

    Examples
    --------
    >>> with RowSpool() as spool:
    ...     spool.append(np.array([[1.0, 2.0], [3.0, 4.0]], np.float32))
    ...     spool.append(np.array([[5.0], [6.0]], np.float32))
    ...     spool.read(1, 3).tolist()
    [[2.0, 5.0], [4.0, 6.0]]
    """

    def read(self, start: int, stop: int) -> FeatureBlock:
        """Return rows ``[start, stop)`` as a block."""
        row_bytes = self._n_columns * 4
        self._file.seek(start * row_bytes)
        rows = np.frombuffer(self._file.read((stop - start) * row_bytes), np.float32).reshape(-1, self._n_columns)
        return np.ascontiguousarray(rows.T)


class MatrixFile(_RowFile):
    """A matrix of a known number of columns that is written block by block, and mapped into memory at the end."""

    def mapped(self) -> NDArray[Any]:
        """Return the matrix, read-only, of shape ``(n_rows, n_columns)``; the file is removed along with it."""
        shape = (self.n_rows, self._n_columns)
        self._file.flush()
        # An empty file cannot be mapped.
        return np.memmap(self._file, self._dtype, "r", shape=shape) if self.n_rows else np.empty(shape, self._dtype)


def _temporary() -> BinaryIO:
    return tempfile.TemporaryFile(prefix="emberharmony-")
