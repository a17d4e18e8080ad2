"""What is learnt of a column before anything is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pyarrow as pa

from emberharmony.features.columns import FeatureColumn
from emberharmony.features.kinds import categorical, datetime, numeric
from emberharmony.stats.categories import CategoryCounts
from emberharmony.stats.moments import Moments
from emberharmony.stats.quantiles import Quantiles, QuantileSum
from emberharmony.typing import Arrays


@dataclass(frozen=True)
class ColumnProfile:
    """Counts and states of one column's training rows, mergeable; those that its kind has no use for stay empty."""

    n_rows: int
    n_null: int
    n_nonfinite: int  # NaN and infinities: they count as missing
    moments: Moments
    quantiles: Quantiles
    categories: CategoryCounts
    cycles: tuple[Moments, ...]  # of the eight features of a datetime column; only where they are to be scaled

    @classmethod
    def empty(cls) -> Self:
        """Return the profile of no rows."""
        return cls(0, 0, 0, Moments.empty(), Quantiles.empty(), CategoryCounts.empty(), ())

    @classmethod
    def of(
        cls,
        column: FeatureColumn,
        values: pa.ChunkedArray,
        *,
        cycles: datetime.CyclicalSpec | None = None,
        epoch: bool = False,
    ) -> Self:
        """Profile the training rows of one chunk; `cycles` asks for cyclical features too, `epoch` for times as numbers."""
        state = replace(cls.empty(), n_rows=len(values), n_null=values.null_count)
        if column.kind == "categorical":
            text = categorical.strings(values)
            return replace(state, n_null=text.null_count, categories=CategoryCounts.of(text))
        if column.kind == "datetime":
            if cycles is not None:
                block = datetime.cyclical_block(values, cycles).astype(np.float64)
                state = replace(state, cycles=tuple(Moments.of(feature) for feature in block))
            if not epoch:
                return state
        x = datetime.epoch(values) if column.kind == "datetime" else numeric.numbers(values)
        finite = np.isfinite(x)
        n_finite = int(finite.sum())
        x = x if n_finite == len(x) else x[finite]
        nonfinite = len(finite) - n_finite - values.null_count
        return replace(state, n_nonfinite=nonfinite, moments=Moments.of(x), quantiles=Quantiles.of(x))

    @property
    def n_missing(self) -> int:
        """Nulls and numbers that are not finite."""
        return self.n_null + self.n_nonfinite

    @property
    def without_categories(self) -> Self:
        """The same, with no categories counted."""
        return replace(self, categories=CategoryCounts.empty())

    def merge(self, other: Self, /) -> Self:
        """Return the profile of both profiles' rows together."""
        pairs = zip(self.cycles, other.cycles, strict=True) if self.cycles and other.cycles else ()
        return type(self)(
            self.n_rows + other.n_rows,
            self.n_null + other.n_null,
            self.n_nonfinite + other.n_nonfinite,
            self.moments.merge(other.moments),
            self.quantiles.merge(other.quantiles),
            self.categories.merge(other.categories),
            tuple(a.merge(b) for a, b in pairs) or self.cycles or other.cycles,
        )

    def to_arrays(self) -> Arrays:
        """Return the profile as named arrays."""
        arrays = {"rows": np.array([self.n_rows, self.n_null, self.n_nonfinite, len(self.cycles)], np.int64)}
        for name, state in self._states().items():
            arrays |= {f"{name}.{key}": array for key, array in state.to_arrays().items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Arrays, /) -> Self:
        """Return the profile that `to_arrays` wrote."""
        n_rows, n_null, n_nonfinite, n_cycles = map(int, arrays["rows"])
        return cls(
            n_rows,
            n_null,
            n_nonfinite,
            Moments.from_arrays(_of(arrays, "moments")),
            Quantiles.from_arrays(_of(arrays, "quantiles")),
            CategoryCounts.from_arrays(_of(arrays, "categories")),
            tuple(Moments.from_arrays(_of(arrays, f"cycle{i}")) for i in range(n_cycles)),
        )

    def _states(self) -> Mapping[str, Moments | Quantiles | CategoryCounts]:
        cycles = {f"cycle{i}": moments for i, moments in enumerate(self.cycles)}
        return {"moments": self.moments, "quantiles": self.quantiles, "categories": self.categories, **cycles}


class ProfileSum:
    """Adds profiles of one column up, of as many chunks as there are."""

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
