"""What is learnt of a column before it is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pyarrow as pa

from emberharmony.stats.categories import CategoryCounts
from emberharmony.stats.moments import Moments
from emberharmony.stats.quantiles import Quantiles, QuantileSum
from emberharmony.typing import Arrays, FloatArray


@dataclass(frozen=True)
class ColumnProfile:
    """Mergeable counts and states of one column's training rows; states that its kind does not use stay empty."""

    n_rows: int
    n_null: int
    n_nonfinite: int  # NaN and infinities: they count as missing
    moments: Moments
    quantiles: Quantiles
    categories: CategoryCounts
    features: tuple[Moments, ...]  # moments of each feature, where the job scales features that the values do not determine

    @classmethod
    def empty(cls) -> Self:
        """Return the profile of no rows."""
        return cls(0, 0, 0, Moments.empty(), Quantiles.empty(), CategoryCounts.empty(), ())

    @classmethod
    def of_numbers(cls, x: FloatArray, *, n_null: int) -> Self:
        """Profile one chunk of numbers: float64 of shape ``(n_rows,)``, of which `n_null` are NaN for null."""
        finite = np.isfinite(x)
        n_finite = int(finite.sum())
        n_rows, x = len(x), x if n_finite == len(x) else x[finite]
        counts = (n_rows, n_null, n_rows - n_finite - n_null)
        return cls(*counts, Moments.of(x), Quantiles.of(x), CategoryCounts.empty(), ())

    @classmethod
    def of_categories(cls, texts: pa.Array | pa.ChunkedArray) -> Self:
        """Profile one chunk of categories, as texts."""
        return replace(cls.empty(), n_rows=len(texts), n_null=texts.null_count, categories=CategoryCounts.of(texts))

    @property
    def n_missing(self) -> int:
        """Nulls and numbers that are not finite."""
        return self.n_null + self.n_nonfinite

    @property
    def without_categories(self) -> Self:
        """The same profile without its category counts."""
        return replace(self, categories=CategoryCounts.empty())

    def merge(self, other: Self, /) -> Self:
        """Return the profile of both profiles' rows together."""
        pairs = zip(self.features, other.features, strict=True) if self.features and other.features else ()
        return type(self)(
            self.n_rows + other.n_rows,
            self.n_null + other.n_null,
            self.n_nonfinite + other.n_nonfinite,
            self.moments.merge(other.moments),
            self.quantiles.merge(other.quantiles),
            self.categories.merge(other.categories),
            tuple(a.merge(b) for a, b in pairs) or self.features or other.features,
        )

    def to_arrays(self) -> Arrays:
        """Return the profile as named arrays."""
        arrays = {"rows": np.array([self.n_rows, self.n_null, self.n_nonfinite, len(self.features)], np.int64)}
        for name, state in self._states().items():
            arrays |= {f"{name}.{key}": array for key, array in state.to_arrays().items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Arrays, /) -> Self:
        """Return the profile that `to_arrays` wrote."""
        n_rows, n_null, n_nonfinite, n_features = map(int, arrays["rows"])
        return cls(
            n_rows,
            n_null,
            n_nonfinite,
            Moments.from_arrays(_of(arrays, "moments")),
            Quantiles.from_arrays(_of(arrays, "quantiles")),
            CategoryCounts.from_arrays(_of(arrays, "categories")),
            tuple(Moments.from_arrays(_of(arrays, f"feature{i}")) for i in range(n_features)),
        )

    def _states(self) -> Mapping[str, Moments | Quantiles | CategoryCounts]:
        features = {f"feature{i}": moments for i, moments in enumerate(self.features)}
        return {"moments": self.moments, "quantiles": self.quantiles, "categories": self.categories, **features}


class ProfileSum:
    """The sum of one column's profiles over any number of chunks."""

    def __init__(self) -> None:
        self._profile, self._quantiles = ColumnProfile.empty(), QuantileSum()

    def add(self, profile: ColumnProfile, /) -> None:
        """Add one more chunk's profile."""
        self._quantiles.add(profile.quantiles)
        self._profile = self._profile.merge(replace(profile, quantiles=self._profile.quantiles))

    def profile(self) -> ColumnProfile:
        """Return the profile of all rows."""
        return replace(self._profile, quantiles=self._quantiles.state())


def _of(arrays: Arrays, name: str) -> Arrays:
    return {key.removeprefix(f"{name}."): array for key, array in arrays.items() if key.startswith(f"{name}.")}
