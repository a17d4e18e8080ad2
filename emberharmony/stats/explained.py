"""The share of the variance of new windows that fitted components explain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from emberharmony.typing import FeatureBlock, FloatArray

_BLOCK_ROWS = 4_096  # so many rows in float64 stay in cache


@dataclass(frozen=True)
class ExplainedSquares:
    """Sum of squared distances of windows from a fitted mean, and its part within the fitted components."""

    explained: float = 0.0
    total: float = 0.0

    @classmethod
    def of(cls, scores: FeatureBlock, rows: FeatureBlock, mean: FloatArray, *, first: int, stride: int) -> Self:
        """Sum over windows without building one.

        The squared distance of a row from the mean over all positions is computed once. One matrix product corrects it for
        the mean of each position.

        Parameters
        ----------
        scores : array of shape (n_components, n_windows)
            Scores of the windows.
        rows : array of shape (n_features, n_rows)
            Consecutive rows of a series, at least up to the last row of the last window.
        mean : array of shape (size, n_features)
            Fitted mean of each position in a window.
        first, stride : int
            First row of the first window within `rows`, and rows from one window to the next.
        """
        size, centre = len(mean), mean.mean(axis=0)
        offsets = mean - centre
        n_windows = scores.shape[1]
        step = max(1, _BLOCK_ROWS // stride)
        total = n_windows * float(np.vdot(offsets, offsets))
        for begin in range(0, n_windows, step):
            reach = (min(step, n_windows - begin) - 1) * stride + 1  # rows from the first start to the last
            at = first + begin * stride
            x = rows[:, at : at + reach + size - 1].astype(np.float64) - centre[:, None]
            squares, products = np.einsum("ij,ij->j", x, x), offsets @ x
            for position in range(size):
                taken = slice(position, position + reach, stride)
                total += float(squares[taken].sum() - 2.0 * products[position, taken].sum())
        explained = sum(float(np.vdot(score, score)) for score in (row.astype(np.float64) for row in scores))
        return cls(explained, max(total, 0.0))

    def merge(self, other: Self) -> Self:
        """Return the sums over both sets of windows."""
        return type(self)(self.explained + other.explained, self.total + other.total)

    @property
    def share(self) -> float | None:
        """Share of the variance about the fitted mean that the components explain; ``None`` if there is no variance."""
        return min(self.explained / self.total, 1.0) if self.total else None
