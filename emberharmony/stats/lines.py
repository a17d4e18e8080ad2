"""Rows of a series laid out several to a line, where windows become matrix columns without being built."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from emberharmony import ops
from emberharmony.backend import select
from emberharmony.typing import FeatureBlock

_HOST_BLOCK_ROWS = 4_096  # a block, its transpose and its products stay in cache
_DEVICE_BLOCK_ROWS = 262_144


def on_host() -> bool:
    """Whether the current backend computes where the rows are."""
    return select().device.startswith("cpu")


def block_rows() -> int:
    """Rows that are worth computing on at once on the current backend's device."""
    return _HOST_BLOCK_ROWS if on_host() else _DEVICE_BLOCK_ROWS


def compute_dtype() -> Any:
    """float64 where the current backend's device has it, else float32."""
    return ops.float64 if select().float64 else ops.float32


def lines(rows: FeatureBlock, period: int) -> Any:
    """Rows with a one appended to each, `period` of them to a line.

    Parameters
    ----------
    rows : array of shape (n_features, n_rows)
        Consecutive rows of a series.
    period : int
        Rows to a line; the last line is filled up with zero rows (whose one is zero, too).

    Returns
    -------
    Tensor of shape (ceil(n_rows / period), period * (n_features + 1))
        In float64, or in float32 on a device that has no float64.

    Examples
    --------
    >>> lines(np.array([[5, 6, 7]], np.float32), 2).numpy().tolist()
    [[5.0, 1.0, 6.0, 1.0], [7.0, 1.0, 0.0, 0.0]]
    """
    n_features, n_rows = rows.shape
    dtype = compute_dtype()
    if on_host():
        # On the host one pass casts, turns and fills up.
        table = np.zeros((-(-n_rows // period) * period, n_features + 1), np.float64 if dtype == ops.float64 else np.float32)
        table[:n_rows, :-1] = rows.T
        table[:n_rows, -1] = 1.0
        return ops.asarray(table.reshape(-1, period * (n_features + 1)))
    values = ops.astype(ops.asarray(np.ascontiguousarray(rows)), dtype)
    stacked = ops.concat([values, ops.ones((1, n_rows), dtype=dtype)], axis=0)
    if n_rows % period:
        stacked = ops.concat([stacked, ops.zeros((n_features + 1, -n_rows % period), dtype=dtype)], axis=1)
    return ops.reshape(stacked.mT, (-1, period * (n_features + 1)))


def line_blocks(rows: FeatureBlock, period: int) -> Iterator[Any]:
    """All lines of `rows`, a block of them at a time."""
    step = max(block_rows() // period, 8) * period
    for begin in range(0, rows.shape[1], step):
        yield lines(rows[:, begin : begin + step], period)
