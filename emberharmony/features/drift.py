"""Drift: how far rows have moved from the training rows, column by column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from emberharmony.stats.moments import Moments
from emberharmony.typing import Arrays, FloatArray, IntArray

MAJOR_PSI = 0.25
"""A population stability index above this is commonly called a major shift."""
MAJOR_NULL_SHARE_CHANGE = 0.1

_LEAST_SHARE = 1e-4  # of an empty bin: one lost category is not an infinite drift


@dataclass(frozen=True)
class ColumnCounts:
    """Mergeable counts of one column's rows by bin; missing values are in no bin.

    The kind of the column says what the bins are: ranges of numbers, categories, or none.
    """

    n_rows: int
    n_missing: int
    moments: Moments  # of finite numbers
    bins: IntArray

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
    """The counts of a column's training rows, and the edges of their bins."""

    edges: tuple[float, ...]
    counts: ColumnCounts

    def to_json(self) -> dict[str, Any]:
        """Return the baseline as JSON data."""
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


def null_drift(then: ColumnCounts, now: ColumnCounts) -> dict[str, float]:
    """Return ``null_share``, the share of missing values, and ``null_share_change`` against training.

    Examples
    --------
    >>> then, now = (ColumnCounts(4, n, Moments.empty(), np.empty(0, np.int64)) for n in (1, 3))
    >>> null_drift(then, now)
    {'null_share': 0.75, 'null_share_change': 0.5}
    """
    found = share(now.n_missing, now.n_rows)
    return {"null_share": found, "null_share_change": found - share(then.n_missing, then.n_rows)}


def is_major(found: Mapping[str, float]) -> bool:
    """Whether a column has moved so far that someone should look."""
    return found.get("psi", 0.0) > MAJOR_PSI or abs(found["null_share_change"]) > MAJOR_NULL_SHARE_CHANGE


def stability_index(then: ColumnCounts, now: ColumnCounts) -> float:
    """Return the population stability index over bins and missing values.

    Examples
    --------
    >>> then, now = (ColumnCounts(4, 0, Moments.empty(), np.array(bins)) for bins in ([2, 2], [1, 3]))
    >>> round(stability_index(then, now), 3), stability_index(then, then)
    (0.275, 0.0)
    """
    before, after = np.maximum(_shares(then), _LEAST_SHARE), np.maximum(_shares(now), _LEAST_SHARE)
    return float(((after - before) * np.log(after / before)).sum())


def share(part: int, whole: int) -> float:
    """Return a part of a whole, and 0 of nothing."""
    return part / whole if whole else 0.0


def _shares(counts: ColumnCounts) -> FloatArray:
    return np.append(counts.bins, counts.n_missing) / max(counts.n_rows, 1)
