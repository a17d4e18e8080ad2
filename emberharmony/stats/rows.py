"""Blocks of a series' rows as matrices on the current backend."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberharmony import ops
from emberharmony.backend import select, using_backend
from emberharmony.typing import FeatureBlock

LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
_TRANSPOSED_ROWS = 3_000  # at a time: measured from 400 to 6,000; the fewer, the longer threads wait for the interpreter
_LARGEST_IN_FLOAT32 = 1e14
"""Sums of products of larger numbers may overflow float32."""


def on_host() -> bool:
    """Whether the current backend computes on the host, where the rows are."""
    return select().device.startswith("cpu")


def compute_dtype() -> Any:
    """Return float64 if the device of the current backend has it, otherwise float32."""
    return ops.float64 if select().float64 else ops.float32


def wide_enough_for(rows: FeatureBlock) -> AbstractContextManager[Any]:
    """Return a context whose backend computes products of these rows without overflow: NumPy if the current one lacks float64.

    Examples
    --------
    >>> with wide_enough_for(np.array([[1e38]], np.float32)):
    ...     compute_dtype() == ops.float64
    True
    """
    if select().float64 or not rows.size or max(rows.max(), -rows.min()) < _LARGEST_IN_FLOAT32:
        return nullcontext()
    return using_backend("numpy")


def rows_with_ones(rows: FeatureBlock, n_rows: int) -> Any:
    """Return rows of a series, each with a one appended, followed by rows of zeros.

    Parameters
    ----------
    rows : array of shape (n_features, <= n_rows)
        Consecutive rows of a series.
    n_rows : int
        Rows of the matrix.

    Returns
    -------
    Tensor of shape (n_rows, n_features + 1)
        float64, or float32 on a device without float64.

    Examples
    --------
    >>> rows_with_ones(np.array([[5, 6]], np.float32), 3).numpy().tolist()
    [[5.0, 1.0], [6.0, 1.0], [0.0, 0.0]]
    """
    n_features, n_given = rows.shape
    dtype = compute_dtype()
    if on_host():
        table = np.empty((n_rows, n_features + 1), np.float64 if dtype == ops.float64 else np.float32)
        return ops.asarray(fill_with_ones(table, rows))
    values = ops.astype(ops.asarray(np.ascontiguousarray(rows)), dtype)
    with_ones = ops.concat([values, ops.ones((1, n_given), dtype=dtype)], axis=0)
    nothing = ops.zeros((n_features + 1, n_rows - n_given), dtype=dtype)
    return ops.concat([with_ones, nothing], axis=1).mT


def fill_with_ones(table: NDArray[Any], rows: FeatureBlock) -> NDArray[Any]:
    """Fill a matrix with rows, each with a one appended, and zeros below them.

    Parameters
    ----------
    table : array of shape (n_rows, n_features + 1)
        The matrix, which is returned.
    rows : array of shape (n_features, <= n_rows)
        Consecutive rows of a series.
    """
    fill_transposed(table[:, :-1], rows)
    table[: rows.shape[1], -1] = 1.0
    table[rows.shape[1] :, -1] = 0.0
    return table


def fill_transposed(table: NDArray[Any], rows: FeatureBlock) -> NDArray[Any]:
    """Fill a matrix of shape ``(n_rows, n_features)`` with rows, and zeros below them; returns it."""
    n_given = rows.shape[1]
    for begin in range(0, n_given, _TRANSPOSED_ROWS):
        some = slice(begin, min(begin + _TRANSPOSED_ROWS, n_given))
        # Copied first: features a power of two apart would evict each other from the cache during the transposition.
        table[some] = rows[:, some].copy().T
    table[n_given:] = 0.0
    return table
