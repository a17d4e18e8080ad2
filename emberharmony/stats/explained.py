"""The share of the variance of new windows that fitted components explain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from emberharmony.typing import FeatureBlock, FloatArray, IntArray

_BLOCK_ROWS = 4_096  # so many rows in float64 stay in cache


@dataclass(frozen=True)
class ExplainedSquares:
    """Sum of squared distances of windows from a fitted mean, and its part within the fitted components."""

    explained: float = 0.0
    total: float = 0.0

    @classmethod
    def of(cls, scores: FeatureBlock, rows: FeatureBlock, starts: IntArray, mean: FloatArray) -> Self:
        """Sum over windows without building one.

        The squared distance of a row from the mean over all positions is computed once. One matrix product corrects it for
        the mean of each position.

        Parameters
        ----------
        scores : array of shape (n_components, n_windows)
            Scores of the windows.
        rows : array of shape (n_features, n_rows)
            Adjacent rows, which hold all of the windows.
        starts : int64 array of shape (n_windows,)
            Places in `rows`, ascending, where the windows begin.
        mean : array of shape (size, n_features)
            Fitted mean of each position in a window.
        """
        size, centre = len(mean), mean.mean(axis=0)
        offsets = mean - centre
        total = len(starts) * float(np.vdot(offsets, offsets))
        n_rows = int(starts[-1]) + 1 if len(starts) else 0
        for begin in range(0, n_rows, _BLOCK_ROWS):
            of_block = starts[slice(*np.searchsorted(starts, [begin, begin + _BLOCK_ROWS]))]
            if not len(of_block):
                continue
            at = int(of_block[0])
            x = rows[:, at : of_block[-1] + size].astype(np.float64) - centre[:, None]
            squares, products = np.einsum("ij,ij->j", x, x), offsets @ x
            for position in range(size):
                taken = of_block - at + position
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
