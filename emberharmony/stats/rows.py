"""Rows of a series as a table on the current backend, a block of them at a time."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from emberharmony import ops
from emberharmony.backend import select, using_backend
from emberharmony.typing import FeatureBlock

LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
_LARGEST_IN_FLOAT32 = 1e14
"""Of larger numbers, sums of products may leave float32."""


def on_host() -> bool:
    """Whether the current backend computes where the rows are."""
    return select().device.startswith("cpu")


def compute_dtype() -> Any:
    """float64 where the current backend's device has it, else float32."""
    return ops.float64 if select().float64 else ops.float32


def wide_enough_for(rows: FeatureBlock) -> AbstractContextManager[Any]:
    """A backend that products of these rows do not overflow on: the current one, or NumPy where that has no float64.

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
    """Rows of a series, each with a one at its end, and rows of zeros after them.

    Parameters
    ----------
    rows : array of shape (n_features, <= n_rows)
        Consecutive rows of a series.
    n_rows : int
        Rows of the table.

    Returns
    -------
    Tensor of shape (n_rows, n_features + 1)
        In float64, or in float32 on a device that has no float64.

    Examples
    --------
    >>> rows_with_ones(np.array([[5, 6]], np.float32), 3).numpy().tolist()
    [[5.0, 1.0], [6.0, 1.0], [0.0, 0.0]]
    """
    n_features, n_given = rows.shape
    dtype = compute_dtype()
    if on_host():
        table = np.zeros((n_rows, n_features + 1), np.float64 if dtype == ops.float64 else np.float32)
        # Copied first: features that lie a power of two apart would push each other out of the cache while they are turned.
        table[:n_given, :-1] = rows.copy().T
        table[:n_given, -1] = 1.0
        return ops.asarray(table)
    values = ops.astype(ops.asarray(np.ascontiguousarray(rows)), dtype)
    with_ones = ops.concat([values, ops.ones((1, n_given), dtype=dtype)], axis=0)
    nothing = ops.zeros((n_features + 1, n_rows - n_given), dtype=dtype)
    return ops.concat([with_ones, nothing], axis=1).mT
