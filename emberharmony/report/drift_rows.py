"""The drift of a result's columns as rows of a table, for people."""

from __future__ import annotations

from collections.abc import Mapping

from emberharmony.features.drift import is_major


def drift_rows(drift: Mapping[str, Mapping[str, float]]) -> list[dict[str, str]]:
    """One row for each column, those that have drifted furthest first, with a verdict and three digits.

    Parameters
    ----------
    drift : mapping
        By column: its figures, as in `Manifest.drift`.

    Examples
    --------
    >>> drift = {"a": {"null_share_change": 0.0, "psi": 0.01234}, "b": {"null_share_change": 0.2, "psi": 0.4}}
    >>> for row in drift_rows(drift):
    ...     print(row)
    {'column': 'b', 'verdict': 'drifted far', 'null_share_change': '0.200', 'psi': '0.400'}
    {'column': 'a', 'verdict': 'stable', 'null_share_change': '0.000', 'psi': '0.012'}
    """
    names = list(dict.fromkeys(name for found in drift.values() for name in found))

    def row(column: str) -> dict[str, str]:
        found = drift[column]
        figures = {name: f"{found[name]:.3f}" if name in found else "" for name in names}
        return {"column": column, "verdict": "drifted far" if is_major(found) else "stable", **figures}

    return [row(column) for column in by_drift(drift)]


def by_drift(drift: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return the columns, those that have drifted furthest first.

    Examples
    --------
    >>> by_drift({"a": {"null_share_change": -0.3}, "b": {"null_share_change": 0.0, "psi": 0.3}})
    ['b', 'a']
    """

    def amount(column: str) -> tuple[bool, float, float]:
        found = drift[column]
        return is_major(found), found.get("psi", 0.0), abs(found["null_share_change"])

    return sorted(drift, key=amount, reverse=True)
