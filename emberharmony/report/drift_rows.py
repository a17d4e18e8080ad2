"""The drift of a result's columns as rows of a table, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from emberharmony.features.drift import MAJOR_PSI, drift_verdict
from emberharmony.messages import count_of

_COUNTS: Final = ("rows", "training_rows")
_ORDER: Final = ("drifted far", "too few rows to judge", "stable")


def drift_rows(drift: Mapping[str, Mapping[str, float]]) -> list[dict[str, str]]:
    """One row for each column, those that have drifted furthest first, with a verdict and three digits.

    Parameters
    ----------
    drift : mapping
        By column: its figures, as in `Manifest.drift`.

    Examples
    --------
    >>> found = {"rows": 1204, "training_rows": 90_000, "null_share": 0.0, "null_share_change": 0.0, "psi_by_chance": 0.02}
    >>> for row in drift_rows({"a": found | {"psi": 0.01234}, "b": found | {"psi": 0.4}}):
    ...     print(row["column"], row["verdict"], row["rows"], row["psi"], row["psi_by_chance"])
    b drifted far 1,204 0.400 0.020
    a stable 1,204 0.012 0.020
    """
    names = list(dict.fromkeys(name for found in drift.values() for name in found))

    def row(column: str) -> dict[str, str]:
        found = drift[column]
        figures = {name: _figure(name, found[name]) if name in found else "" for name in names}
        return {"column": column, "verdict": drift_verdict(found), **figures}

    return [row(column) for column in by_drift(drift)]


def by_drift(drift: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return the columns, those that have drifted furthest first, and those with too few rows to judge before stable ones.

    Examples
    --------
    >>> by_drift({"a": {"null_share_change": -0.3}, "b": {"null_share_change": 0.0, "psi": 0.3}})
    ['b', 'a']
    """

    def place(column: str) -> tuple[int, float, float]:
        found = drift[column]
        return _ORDER.index(drift_verdict(found)), -found.get("psi", 0.0), -abs(found["null_share_change"])

    return sorted(drift, key=place)


def drift_line(drift: Mapping[str, Mapping[str, float]], *, most: int) -> str:
    """Say in one line which columns have drifted far, the furthest first, and how many rows were judged.

    Parameters
    ----------
    drift : mapping
        By column: its figures, as in `Manifest.drift`; of one column at least.
    most : int
        Number of columns to name.
    """
    verdicts = {name: drift_verdict(found) for name, found in drift.items()}
    far = [name for name in by_drift(drift) if verdicts[name] == "drifted far"]
    n_few = sum(verdict == "too few rows to judge" for verdict in verdicts.values())
    rows = max(found.get("rows", 0) for found in drift.values())
    judged = f"; judged on {rows:,.0f} rows" if rows else ""
    few = f", too few to judge {count_of(n_few, 'column')}" if n_few else ""
    if not far:
        stable = f"none of {count_of(len(drift), 'column')} has drifted far from the training rows"
        return (
            f"{stable}{judged}{few}" if n_few < len(drift) else f"{rows:,.0f} rows are too few to judge drift{_least(drift)}"
        )
    texts = ", ".join(f"{name} ({_moved(drift[name])})" for name in far[:most])
    more = f" and {len(far) - most:,} more" if len(far) > most else ""
    have = "has" if len(far) == 1 else "have"
    begin = f"{len(far):,} of {count_of(len(drift), 'column')} {have} drifted far from the training rows"
    return f"{begin}: {texts}{more}{judged}{few}"


def _least(drift: Mapping[str, Mapping[str, float]]) -> str:
    by_chance = max(found.get("psi_by_chance", 0.0) for found in drift.values())
    return f": chance alone gives a PSI of up to {by_chance:.3g}, more than {MAJOR_PSI:g}" if by_chance > MAJOR_PSI else ""


def _figure(name: str, value: float) -> str:
    return f"{value:,.0f}" if name in _COUNTS else f"{value:.3f}"


def _moved(found: Mapping[str, float]) -> str:
    texts = {
        "psi": "PSI {:.3f}",
        "mean_shift": "mean {:+.1f} deviations",
        "other_share_change": "other values {:+.0%}",
        "null_share_change": "nulls {:+.0%}",
    }
    return ", ".join(text.format(found[key]) for key, text in texts.items() if abs(found.get(key, 0.0)) >= 0.005)
