"""How much of some windows' variance the components of others explain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from emberharmony.typing import FeatureBlock, FloatArray

_BLOCK_ROWS = 4_096  # in float64 they stay in cache


@dataclass(frozen=True)
class ExplainedSquares:
    """Squared distances of windows from a fitted mean, and the part of them that lies within the fitted components."""

    explained: float = 0.0
    total: float = 0.0

    @classmethod
    def of(cls, scores: FeatureBlock, rows: FeatureBlock, mean: FloatArray, *, first: int, stride: int) -> Self:
        """Sum over windows, without building one.

        A row's squared distance from the mean of all positions is computed once; what a position's own mean differs from that
        is one product.

        Parameters
        ----------
        scores : array of shape (n_components, n_windows)
            The windows' scores.
        rows : array of shape (n_features, n_rows)
            Consecutive rows of a series, up to the last window's last row at least.
        mean : array of shape (size, n_features)
            Fitted mean of the windows' rows, by position.
        first, stride : int
            First row of the first window within `rows`, and rows from one window to the next.
        """
        size, centre = len(mean), mean.mean(axis=0)
        offsets = mean - centre
        n_windows = scores.shape[1]
        step = max(1, _BLOCK_ROWS // stride)
        total = n_windows * float(np.vdot(offsets, offsets))
        for begin in range(0, n_windows, step):
            reach = (min(step, n_windows - begin) - 1) * stride + 1  # rows from the first window's begin to the last one's
            at = first + begin * stride
            x = rows[:, at : at + reach + size - 1].astype(np.float64) - centre[:, None]
            squares, products = np.einsum("ij,ij->j", x, x), offsets @ x
            for position in range(size):
                taken = slice(position, position + reach, stride)
                total += float(squares[taken].sum() - 2.0 * products[position, taken].sum())
        explained = sum(float(np.vdot(score, score)) for score in (row.astype(np.float64) for row in scores))
        return cls(explained, max(total, 0.0))

    def merge(self, other: Self) -> Self:
        """Return the sums over both."""
        return type(self)(self.explained + other.explained, self.total + other.total)

    @property
    def share(self) -> float | None:
        """Part of the variance about the fitted mean that the components explain; ``None`` where there is no variance."""
        return min(self.explained / self.total, 1.0) if self.total else None
