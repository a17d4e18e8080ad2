"""Drift: how far rows have moved from the training rows, column by column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np

from emberharmony.stats.chance import least_by_chance, most_by_chance, psi_by_chance, smoothed_share
from emberharmony.stats.moments import Moments
from emberharmony.typing import Arrays, FloatArray, IntArray

MAJOR_PSI = 0.25
"""A population stability index above this is commonly called a major shift."""
MAJOR_NULL_SHARE_CHANGE = 0.1

DriftVerdict = Literal["drifted far", "too few rows to judge", "stable"]

_ADDED = 0.5  # rows in each bin: one lost category is not an infinite drift, and few rows do not lose many


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


def null_figures(counts: ColumnCounts) -> dict[str, float]:
    """Return the number of ``rows``, and ``null_share``, the share of missing values.

    Examples
    --------
    >>> null_figures(ColumnCounts(4, 3, Moments.empty(), np.empty(0, np.int64)))
    {'rows': 4, 'null_share': 0.75}
    """
    return {"rows": counts.n_rows, "null_share": share(counts.n_missing, counts.n_rows)}


def null_drift(then: ColumnCounts, now: ColumnCounts) -> dict[str, float]:
    """Return the number of ``training_rows``, and ``null_share_change``, how far the share of missing values has moved since.

    Examples
    --------
    >>> then, now = (ColumnCounts(4, n, Moments.empty(), np.empty(0, np.int64)) for n in (1, 3))
    >>> null_drift(then, now)
    {'training_rows': 4, 'null_share_change': 0.5}
    """
    change = share(now.n_missing, now.n_rows) - share(then.n_missing, then.n_rows)
    return {"training_rows": then.n_rows, "null_share_change": change}


def psi_drift(then: ColumnCounts, now: ColumnCounts) -> dict[str, float]:
    """Return ``psi``, the population stability index, and ``psi_by_chance``, what it reaches without drift in so few rows.

    Examples
    --------
    >>> then, now = (ColumnCounts(n, 0, Moments.empty(), np.array([n, n]) // 2) for n in (1000, 10))
    >>> {name: round(value, 2) for name, value in psi_drift(then, now).items()}
    {'psi': 0.19, 'psi_by_chance': 1.13}
    """
    n_bins = np.count_nonzero(_with_missing(then) + _with_missing(now))
    by_chance = psi_by_chance(int(n_bins), n_rows=now.n_rows, n_training=then.n_rows)
    return {"psi": stability_index(then, now), "psi_by_chance": by_chance}


def drift_verdict(found: Mapping[str, float], /) -> DriftVerdict:
    """Whether a column has moved so far that someone should look, or has too few rows to tell.

    A number counts if it is above its bound, and beyond what chance does to as many rows without drift.

    Parameters
    ----------
    found : mapping of str to float
        Figures of the column, as in `Manifest.drift`.

    Examples
    --------
    >>> drift_verdict({"rows": 3, "null_share": 0.0, "null_share_change": 0.0, "psi": 1.2, "psi_by_chance": 9.3})
    'too few rows to judge'
    """
    psi, by_chance, change = found.get("psi", 0.0), found.get("psi_by_chance", 0.0), found["null_share_change"]
    nulls_moved = abs(change) > MAJOR_NULL_SHARE_CHANGE
    if psi > max(MAJOR_PSI, by_chance) or (nulls_moved and _is_beyond_chance(found)):
        return "drifted far"
    return "too few rows to judge" if nulls_moved or by_chance > MAJOR_PSI else "stable"


def stability_index(then: ColumnCounts, now: ColumnCounts) -> float:
    """Return the population stability index over bins and missing values, with half a row more in every bin.

    The half row matters where bins are empty or rows are few. With it, rows without drift exceed `psi_by_chance` as rarely as
    they should, whatever their number; docs/design.md has the measured rates.

    Examples
    --------
    >>> then, now = (ColumnCounts(4000, 0, Moments.empty(), np.array(bins)) for bins in ([2000, 2000], [1000, 3000]))
    >>> round(stability_index(then, now), 3), stability_index(then, then)
    (0.274, 0.0)
    """
    before, after = _shares(then), _shares(now)
    return float(((after - before) * np.log(after / before)).sum())


def share(part: int, whole: int) -> float:
    """Return a part of a whole, and 0 of nothing."""
    return part / whole if whole else 0.0


def _is_beyond_chance(found: Mapping[str, float]) -> bool:
    """Whether the share of missing values has moved farther than chance moves that of as many rows."""
    if "rows" not in found:  # of an earlier version
        return True
    n_rows, n_training, now = int(found["rows"]), int(found["training_rows"]), found["null_share"]
    then = smoothed_share(round((now - found["null_share_change"]) * n_training), n_training)
    return not least_by_chance(then, n_rows) <= now <= most_by_chance(then, n_rows)


def _with_missing(counts: ColumnCounts) -> IntArray:
    return np.append(counts.bins, counts.n_missing)


def _shares(counts: ColumnCounts) -> FloatArray:
    rows = _with_missing(counts).astype(np.float64) + _ADDED
    return rows / float(rows.sum())
