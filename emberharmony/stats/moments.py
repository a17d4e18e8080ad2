"""Count, mean, scatter and range of one column, mergeable in any order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from emberharmony.typing import Arrays, FloatArray


@dataclass(frozen=True)
class Moments:
    """First two moments and the range of finite numbers.

    Chunks are merged by the pairwise update of Chan, Golub and LeVeque [1]_. It uses the squared difference of two means
    and no raw sums of squares, so a large offset costs no digits.

    References
    ----------
    .. [1] T. F. Chan, G. H. Golub, R. J. LeVeque, Updating formulae and a pairwise algorithm for computing sample
       variances, 1979.

    Examples
    --------
    >>> parts = [Moments.of(np.array([1.0, 2.0])), Moments.of(np.array([6.0]))]
    >>> both = parts[0].merge(parts[1])
    >>> both.count, both.mean, both.m2, both.maximum
    (3, 3.0, 14.0, 6.0)
    """

    count: int
    mean: float
    m2: float  # sum of squared deviations from the mean
    minimum: float
    maximum: float

    @classmethod
    def empty(cls) -> Self:
        """Return the state of no rows."""
        return cls(0, 0.0, 0.0, math.inf, -math.inf)

    @classmethod
    def of(cls, x: FloatArray, /) -> Self:
        """Return the state of float64 `x` of shape ``(n_rows,)``, all of it finite."""
        if len(x) == 0:
            return cls.empty()
        with np.errstate(over="ignore", invalid="ignore"):  # squares of 1e200 are infinite; the fit refuses them
            mean = float(x.mean())
            # Not a dot product: BLAS splits it among threads, whose number would decide the last bit.
            squares = x - mean
            np.square(squares, out=squares)
            return cls(len(x), mean, float(squares.sum()), float(x.min()), float(x.max()))

    def merge(self, other: Self, /) -> Self:
        """Return the state of both states' rows together."""
        if self.count == 0 or other.count == 0:
            return self if other.count == 0 else other
        count = self.count + other.count
        delta = other.mean - self.mean
        return type(self)(
            count,
            self.mean + delta * (other.count / count),
            self.m2 + other.m2 + delta * delta * (self.count / count * other.count),
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
        )

    @property
    def variance(self) -> float:
        """Population variance (``ddof=0``); zero for no rows."""
        return self.m2 / self.count if self.count else 0.0

    @property
    def is_constant(self) -> bool:
        """Whether all values are equal, or there are none."""
        return self.minimum >= self.maximum

    def to_arrays(self) -> Arrays:
        """Return the state as named arrays."""
        return {
            "count": np.array([self.count], np.int64),
            "moments": np.array([self.mean, self.m2, self.minimum, self.maximum], np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays, /) -> Self:
        """Return the state that `to_arrays` wrote."""
        mean, m2, minimum, maximum = map(float, arrays["moments"])
        return cls(int(arrays["count"][0]), mean, m2, minimum, maximum)
