"""Gram matrices of windows that are built: of few windows, or of short series."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from emberharmony.stats.gathering import Gathering
from emberharmony.stats.rows import on_host
from emberharmony.threads import compute_threads, each_block, threads_for
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
    width, here = rows.shape[0] + 1, on_host()
    step = max(_LEAST_WINDOWS, _BLOCK_BYTES // (8 * size * width)) * (1 if here else _DEVICE_FACTOR)
    stops = np.full(len(starts), rows.shape[1]) if stops is None else stops
    halves = _no_halves(size, width)

    def add_up(positions: Sequence[int]) -> None:
        gathering = Gathering(rows, size)
        for begin in range(0, len(starts), step):
            some = slice(begin, begin + step)
            _add_products(halves, gathering.windows(starts[some], stops=stops[some]), positions)

    _each_position(add_up, size, threads_for(24 * size * width * step) if here else 1)
    return _gram_of_halves(halves)


def gram_of_matrix(windows: Any, size: int) -> FloatArray:
    """Return the Gram matrix of windows that are rows of a matrix on the current backend."""
    halves = _no_halves(size, windows.shape[1] // size)
    _each_position(lambda positions: _add_products(halves, windows, positions), size, compute_threads() if on_host() else 1)
    return _gram_of_halves(halves)


def _no_halves(size: int, width: int) -> list[FloatArray]:
    return [np.zeros((width, (size - i) * width)) for i in range(size)]


def _each_position(work: Callable[[Sequence[int]], None], size: int, n_threads: int) -> None:
    """Share the positions in a window among threads: one adds up the products of each, so that no last bit changes."""
    each_block(work, [range(i, size, n_threads) for i in range(min(n_threads, size))], n_threads=n_threads)


def _add_products(halves: list[FloatArray], windows: Any, positions: Sequence[int]) -> None:
    """Add, for some positions, the products of the rows there with those from there on."""
    width = len(halves[0])
    for i in positions:
        halves[i] += (windows[:, i * width : (i + 1) * width].mT @ windows[:, i * width :]).numpy()


def _gram_of_halves(halves: Sequence[FloatArray]) -> FloatArray:
    size, width = len(halves), len(halves[0])
    gram = np.empty((size, width, size, width))
    for i, half in enumerate(halves):
        gram[i, :, i:] = half.reshape(width, size - i, width)
        gram[i:, :, i] = gram[i, :, i:].transpose(1, 2, 0)
    return gram.reshape(size * width, size * width)


def gram_of_windows(rows: FloatArray, starts: Sequence[int], size: int) -> FloatArray:
    """Return the Gram matrix of windows of a matrix of rows by building them."""
    index = np.asarray(starts, np.int64)[:, None] + np.arange(size)
    windows: FloatArray = rows[index.reshape(-1)].reshape(len(index), size * rows.shape[1])
    gram: FloatArray = windows.T @ windows
    return gram


def with_ones(rows: FeatureBlock) -> FloatArray:
    """Return rows as float64 of shape ``(n_rows, n_features + 1)``, each with a one appended."""
    ones = np.ones((rows.shape[1], rows.shape[0] + 1))
    ones[:, :-1] = rows.T
    return ones
