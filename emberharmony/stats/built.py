"""Gram matrices of windows that are built: of few windows, or of short series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from emberharmony.stats.gathering import Gathering
from emberharmony.stats.rows import on_host
from emberharmony.threads import SUMS_BYTES, each_block, n_partial_sums, threads_for
from emberharmony.typing import FeatureBlock, FloatArray, IntArray

_BLOCK_BYTES = 4 * 2**20  # of windows, which stay in cache
_LEAST_WINDOWS = 250  # so that a product has enough terms to be fast
_DEVICE_FACTOR = 32


def gram_of_built(rows: FeatureBlock, starts: IntArray, size: int, *, stops: IntArray | None = None) -> FloatArray:
    """Return the Gram matrix of windows by building them, a block at a time; only their rows are read.

    Parameters
    ----------
    rows : array of shape (n_features, n_rows)
        Adjacent rows.
    starts : int64 array of shape (n_windows,)
        Places in `rows` where the windows begin.
    size : int
        Rows in a window.
    stops : int64 array of shape (n_windows,), optional
        Places from which on the rows of a window count as zeros; by default no row does.

    Returns
    -------
    float64 array of shape (size * (n_features + 1), size * (n_features + 1))
        Windows are flattened row by row; each row ends with a one.

    Examples
    --------
    >>> gram_of_built(np.array([[1, 2, 3]], np.float32), np.array([0, 1]), size=2).tolist()
    [[5.0, 3.0, 8.0, 3.0], [3.0, 2.0, 5.0, 2.0], [8.0, 5.0, 13.0, 5.0], [3.0, 2.0, 5.0, 2.0]]
    """
    width, here = size * (rows.shape[0] + 1), on_host()
    step = max(_LEAST_WINDOWS, _BLOCK_BYTES // (8 * width)) * (1 if here else _DEVICE_FACTOR)
    stops = np.full(len(starts), rows.shape[1]) if stops is None else stops
    blocks = [slice(begin, begin + step) for begin in range(0, len(starts), step)]
    n_sums = n_partial_sums(len(blocks), 8 * width**2)
    sums = np.zeros((n_sums, width, width))

    def add_up(number: int) -> None:
        gathering = Gathering(rows, size)
        for some in blocks[number::n_sums]:
            windows = gathering.windows(starts[some], stops=stops[some])
            sums[number] += (windows.mT @ windows).numpy()

    each_block(add_up, range(n_sums), n_threads=_threads(width, 24 * width * step))
    gram: FloatArray = sums.sum(axis=0) if n_sums > 1 else sums[0]
    return gram


def gram_of_matrix(windows: Any) -> FloatArray:
    """Return the Gram matrix of windows that are rows of a matrix on the current backend."""
    width = windows.shape[1]
    gram = np.empty((width, width))

    def multiply(_: int) -> None:
        gram[:] = (windows.mT @ windows).numpy()

    each_block(multiply, range(1), n_threads=_threads(width, 1))
    return gram


def _threads(width: int, block_bytes: int) -> int:
    """Threads for a Gram matrix: one if there is no memory for several sums, and then BLAS uses its own."""
    return threads_for(block_bytes) if on_host() and n_partial_sums(2, 8 * width**2) > 1 else 1


def add_gram_of_windows(gram: FloatArray, rows: FloatArray, starts: Sequence[int], size: int, *, sign: int = 1) -> None:
    """Add the Gram matrix of windows of a matrix of rows by building them; with `sign` -1, subtract it.

    Parameters
    ----------
    gram : float64 array of shape (size * n_columns, size * n_columns)
        Changed in place, a few of its rows at a time: a product as large as all of it is never in memory.
    rows : float64 array of shape (n_rows, n_columns)
        Adjacent rows.
    starts : sequence of int
        Places in `rows` where the windows begin.
    size : int
        Rows of a window.
    sign : int
        1 or -1.
    """
    index = np.asarray(starts, np.int64)[:, None] + np.arange(size)
    windows: FloatArray = rows[index.reshape(-1)].reshape(len(index), size * rows.shape[1])
    step = max(SUMS_BYTES // (8 * len(gram)), 1)

    def add(begin: int) -> None:
        some = slice(begin, begin + step)
        # Of all rows at once, NumPy computes one half and mirrors it.
        product = (windows if step >= len(gram) else windows[:, some]).T @ windows
        np.add(gram[some], product, out=gram[some]) if sign > 0 else np.subtract(gram[some], product, out=gram[some])

    each_block(add, range(0, len(gram) if len(index) else 0, step), n_threads=_threads(len(gram), 1))


def with_ones(rows: FeatureBlock) -> FloatArray:
    """Return rows as float64 of shape ``(n_rows, n_features + 1)``, each with a one appended."""
    ones = np.ones((rows.shape[1], rows.shape[0] + 1))
    ones[:, :-1] = rows.T
    return ones
