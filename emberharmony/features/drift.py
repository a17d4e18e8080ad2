"""How far the rows that features are made of have moved from the rows that they were fitted on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa

from emberharmony.features.kinds import categorical, numeric
from emberharmony.features.preprocessing import FittedColumn
from emberharmony.features.profile import ColumnProfile
from emberharmony.stats.categories import CategoryCounts
from emberharmony.stats.moments import Moments
from emberharmony.typing import Arrays, IntArray

N_BINS = 10
MAJOR_PSI = 0.25
"""A population stability index above this is commonly called a major shift."""
MAJOR_NULL_SHARE_CHANGE = 0.1

_LEAST_SHARE = 1e-4  # an empty bin counts as this much, so that one lost category is not infinitely far away


@dataclass(frozen=True)
class ColumnCounts:
    """Rows of one column by bin: between fixed edges, or by category; mergeable.

    The bins of a column of categories are its vocabulary and, last, all other values. Missing values are in no bin.
    """

    n_rows: int
    n_missing: int
    moments: Moments  # of finite numbers
    bins: IntArray

    @classmethod
    def of(cls, column: FittedColumn, values: pa.ChunkedArray, edges: Sequence[float]) -> Self:
        """Count the rows of one chunk."""
        if column.kind == "datetime":
            return cls(len(values), values.null_count, Moments.empty(), np.empty(0, np.int64))
        if column.kind == "categorical":
            n_bins = len(column.vocabulary) + 1
            position = categorical.codes(values, column.vocabulary)
            counts = np.bincount(position, minlength=n_bins + 1).astype(np.int64)
            return cls(len(values), int(counts[n_bins]), Moments.empty(), counts[:n_bins])
        x = numeric.numbers(values)
        x = x[np.isfinite(x)]
        counts = np.bincount(np.searchsorted(edges, x, side="right"), minlength=len(edges) + 1).astype(np.int64)
        return cls(len(values), len(values) - len(x), Moments.of(x), counts)

    def merge(self, other: Self, /) -> Self:
        """Return the counts of both."""
        n_rows, n_missing = self.n_rows + other.n_rows, self.n_missing + other.n_missing
        return type(self)(n_rows, n_missing, self.moments.merge(other.moments), self.bins + other.bins)

    def to_arrays(self) -> Arrays:
        """Return the counts as named arrays."""
        return {"rows": np.array([self.n_rows, self.n_missing]), "bins": self.bins, **self.moments.to_arrays()}

    @classmethod
    def from_arrays(cls, arrays: Arrays, /) -> Self:
        """Return what `to_arrays` wrote."""
        n_rows, n_missing = map(int, arrays["rows"])
        return cls(n_rows, n_missing, Moments.from_arrays(arrays), arrays["bins"])


@dataclass(frozen=True)
class Baseline:
    """A column's training rows, counted, and the edges of its bins."""

    edges: tuple[float, ...]
    counts: ColumnCounts

    def to_json(self) -> dict[str, Any]:
        """Return the baseline as JSON can hold it."""
        counts = self.counts
        finite = asdict(counts.moments) if counts.moments.count else None
        return {
            "edges": self.edges,
            "n_rows": counts.n_rows,
            "n_missing": counts.n_missing,
            "moments": finite,
            "bins": counts.bins.tolist(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], /) -> Self:
        """Return what `to_json` wrote."""
        moments = Moments(**data["moments"]) if data["moments"] else Moments.empty()
        counts = ColumnCounts(data["n_rows"], data["n_missing"], moments, np.array(data["bins"], np.int64))
        return cls(tuple(data["edges"]), counts)


def baseline_of(
    column: FittedColumn, profile: ColumnProfile, category_states: Callable[[], Iterable[CategoryCounts]]
) -> Baseline:
    """Count a column's training rows by its merged profile: ten bins of about as many rows each, or its categories."""
    edges: tuple[float, ...] = ()
    bins = np.empty(0, np.int64)
    if column.kind == "categorical":
        bins = np.zeros(len(column.vocabulary) + 1, np.int64)
        for state in category_states():
            np.add.at(bins, categorical.codes(state.table["value"], column.vocabulary), state.table["count"].to_numpy())
        # The rest, not a sum: a profile that was computed in BigQuery names only the most frequent values.
        bins[-1] = max(profile.n_rows - profile.n_missing - int(bins[:-1].sum()), 0)
    elif column.kind != "datetime":
        quantiles = profile.quantiles
        edges = (
            (0.5,) if column.kind == "boolean" else tuple(sorted({quantiles.quantile(i / N_BINS) for i in range(1, N_BINS)}))
        )
        bins = np.zeros(len(edges) + 1, np.int64)
        np.add.at(bins, np.searchsorted(edges, quantiles.values, side="right"), quantiles.counts)
    return Baseline(edges, ColumnCounts(profile.n_rows, profile.n_missing, profile.moments, bins))


def drift(column: FittedColumn, baseline: Baseline, now: ColumnCounts) -> dict[str, float]:
    """How far a column has moved.

    Returns
    -------
    dict of str to float
        ``null_share`` and ``null_share_change`` (against training); of numbers ``mean_shift``, in training deviations; of
        categories ``other_share`` and ``other_share_change``: rows whose value is not in the vocabulary; of both ``psi``,
        the population stability index over bins and missing values.

    Examples
    --------
    >>> column = FittedColumn("x", "numeric", ("x",))
    >>> trained = ColumnCounts.of(column, pa.chunked_array([[1.0, 2.0, 3.0, 4.0]]), (2.5,))
    >>> now = ColumnCounts.of(column, pa.chunked_array([[4.0, 5.0, 4.0, None]]), (2.5,))
    >>> {name: round(value, 2) for name, value in drift(column, Baseline((2.5,), trained), now).items()}
    {'null_share': 0.25, 'null_share_change': 0.25, 'mean_shift': 1.64, 'psi': 6.31}
    """
    then = baseline.counts
    found = {"null_share": _share(now.n_missing, now.n_rows)}
    found["null_share_change"] = found["null_share"] - _share(then.n_missing, then.n_rows)
    if column.kind == "datetime":
        return found  # time goes on: only its absence can be told from before
    if column.kind == "categorical":
        found["other_share"] = _share(int(now.bins[-1]), now.n_rows)
        found["other_share_change"] = found["other_share"] - _share(int(then.bins[-1]), then.n_rows)
    elif now.moments.count and then.moments.count:
        difference = now.moments.mean - then.moments.mean
        found["mean_shift"] = difference / (math.sqrt(then.moments.variance) or 1.0)
    found["psi"] = _stability_index(_shares(then), _shares(now))
    return found


def is_major(found: Mapping[str, float]) -> bool:
    """Whether a column has moved so far that someone should look."""
    return found.get("psi", 0.0) > MAJOR_PSI or abs(found["null_share_change"]) > MAJOR_NULL_SHARE_CHANGE


def _shares(counts: ColumnCounts) -> np.typing.NDArray[np.float64]:
    return np.append(counts.bins, counts.n_missing) / max(counts.n_rows, 1)


def _stability_index(then: np.typing.NDArray[np.float64], now: np.typing.NDArray[np.float64]) -> float:
    then, now = np.maximum(then, _LEAST_SHARE), np.maximum(now, _LEAST_SHARE)
    return float(((now - then) * np.log(now / then)).sum())


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
