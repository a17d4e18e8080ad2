"""Rows and scores in temporary files, which are removed when they are closed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import BinaryIO, Self

import numpy as np

from emberharmony.typing import FeatureBlock


class RowSpool:
    """Blocks of rows, which can be read again in any order.

    Examples
    --------
    >>> with RowSpool() as spool:
    ...     spool.append(np.array([[1.0, 2.0], [3.0, 4.0]], np.float32))
    ...     spool.append(np.array([[5.0], [6.0]], np.float32))
    ...     spool.read(1, 3).tolist()
    [[2.0, 5.0], [4.0, 6.0]]
    """

    def __init__(self) -> None:
        self.n_rows = 0
        self._n_features = 0
        self._file = _temporary()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, block: FeatureBlock, /) -> None:
        """Append a block of shape ``(n_features, n_rows)``; all have the same features."""
        self._n_features = block.shape[0]
        self._file.seek(0, 2)
        self._file.write(np.ascontiguousarray(block.T).tobytes())
        self.n_rows += block.shape[1]

    def read(self, start: int, stop: int) -> FeatureBlock:
        """Return rows ``[start, stop)`` as a block."""
        row_bytes = self._n_features * 4
        self._file.seek(start * row_bytes)
        rows = np.frombuffer(self._file.read((stop - start) * row_bytes), np.float32).reshape(-1, self._n_features)
        return np.ascontiguousarray(rows.T)

    def blocks(self, start: int, stop: int, n_rows: int) -> Iterator[FeatureBlock]:
        """Yield rows ``[start, stop)`` in blocks of at most `n_rows`."""
        for begin in range(start, stop, n_rows):
            yield self.read(begin, min(begin + n_rows, stop))


class MatrixFile:
    """A float32 matrix that is written block by block, and mapped into memory at the end."""

    def __init__(self, n_columns: int) -> None:
        self._n_columns = n_columns
        self._n_rows = 0
        self._file = _temporary()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, block: FeatureBlock, /) -> None:
        """Append rows, given as a block of shape ``(n_columns, n_rows)``."""
        self._file.write(np.ascontiguousarray(block.T).tobytes())
        self._n_rows += block.shape[1]

    def mapped(self) -> FeatureBlock:
        """Return the matrix, read-only, of shape ``(n_rows, n_columns)``; the file is removed along with it."""
        shape = (self._n_rows, self._n_columns)
        self._file.flush()
        # An empty file cannot be mapped.
        return np.memmap(self._file, np.float32, "r", shape=shape) if self._n_rows else np.empty(shape, np.float32)


def _temporary() -> BinaryIO:
    return tempfile.TemporaryFile(prefix="emberharmony-")
