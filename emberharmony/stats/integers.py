"""Whole numbers past those that float64 holds: their exact range, and moments that keep their last digits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from emberharmony.stats.moments import Moments
from emberharmony.typing import Arrays, FloatArray

MAX_EXACT = 2**53
"""Past it, float64 no longer tells whole numbers from their neighbours."""


@dataclass(frozen=True)
class Integers:
    """Range of whole numbers, exactly, and the moments of their differences to the lowest.

    Examples
    --------
    >>> part, other = (Integers.of(np.array([2**60 + i, 2**60 + 1])) for i in (0, 4))
    >>> both = part.merge(other)
    >>> both.highest - both.lowest, both.moments.mean, both.origin == 2**60
    (4, 1.5, True)
    """

    lowest: int
    highest: int
    moments: Moments

    @classmethod
    def of(cls, x: NDArray[Any], /) -> Self:
        """Return the state of `x` of shape ``(n_rows,)`` and an integer data type, one row at least."""
        lowest, highest = int(x.min()), int(x.max())
        return cls(lowest, highest, Moments.of(differences(x, lowest)))

    def merge(self, other: Self, /) -> Self:
        """Return the state of both states' rows together."""
        lowest = min(self.lowest, other.lowest)
        moments = (state.moments.shifted(state.lowest - lowest) for state in (self, other))
        return type(self)(lowest, max(self.highest, other.highest), next(moments).merge(next(moments)))

    @property
    def is_beyond_float64(self) -> bool:
        """Whether float64 cannot tell some of the numbers from their neighbours."""
        return max(-self.lowest, self.highest) > MAX_EXACT

    @property
    def origin(self) -> int:
        """What to count from: the lowest, where only the differences fit into float64, else zero."""
        return self.lowest if self.is_beyond_float64 and self.highest - self.lowest <= MAX_EXACT else 0

    def to_arrays(self) -> Arrays:
        """Return the state as named arrays; neither int64 nor uint64 holds both ends of both."""
        ends = np.array([divmod(self.lowest, 2**32), divmod(self.highest, 2**32)], np.int64)
        return {"ends": ends, **self.moments.to_arrays()}

    @classmethod
    def from_arrays(cls, arrays: Arrays, /) -> Self:
        """Return the state that `to_arrays` wrote."""
        lowest, highest = (int(high) * 2**32 + int(low) for high, low in arrays["ends"])
        return cls(lowest, highest, Moments.from_arrays(arrays))


def differences(x: NDArray[Any], origin: int, /) -> FloatArray:
    """Integers less `origin`, rounded once, after the difference is taken.

    Examples
    --------
    >>> differences(np.array([2**64 - 1, 2**64 - 3], np.uint64), 2**64 - 2).tolist()
    [1.0, -1.0]
    """
    if len(x) and max(-int(x.min()), int(x.max()), abs(origin)) <= MAX_EXACT // 2:
        return x.astype(np.float64) - float(origin)  # exact, and a third of the work
    near = (x.astype(np.uint64) - np.uint64(origin % 2**64)).view(np.int64).astype(np.float64)  # wraps, as it has to
    far = x.astype(np.float64) - float(origin)
    return np.where(np.abs(far) < 2.0**62, near, far)


def merged(a: Integers | None, b: Integers | None) -> Integers | None:
    """Both together; ``None`` is the state of no whole numbers."""
    return a.merge(b) if a and b else a or b
