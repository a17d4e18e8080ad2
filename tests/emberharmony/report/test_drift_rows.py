"""The table of drift: the furthest column first, the same figures in every row."""

from __future__ import annotations

from emberharmony.features.drift import MAJOR_NULL_SHARE_CHANGE, MAJOR_PSI
from emberharmony.report.drift_rows import by_drift, drift_rows

DRIFT = {
    "stable": {"null_share": 0.0, "null_share_change": 0.0, "psi": 0.001},
    "moved": {"null_share": 0.0, "null_share_change": 0.0, "psi": MAJOR_PSI + 1.23456, "mean_shift": -2.0},
    "lost": {"null_share": 0.9, "null_share_change": MAJOR_NULL_SHARE_CHANGE + 0.1},
    "found": {"null_share": 0.0, "null_share_change": -MAJOR_NULL_SHARE_CHANGE - 0.3},
}


def test_columns_that_drifted_far_come_first():
    assert by_drift(DRIFT) == ["moved", "found", "lost", "stable"]


def test_rows_hold_a_verdict_and_the_same_figures_with_three_digits():
    rows = drift_rows(DRIFT)
    assert [row["verdict"] for row in rows] == ["drifted far"] * 3 + ["stable"]
    assert {tuple(row) for row in rows} == {("column", "verdict", "null_share", "null_share_change", "psi", "mean_shift")}
    assert (rows[0]["psi"], rows[0]["mean_shift"], rows[1]["psi"]) == (f"{MAJOR_PSI + 1.235:.3f}", "-2.000", "")
    assert drift_rows({}) == []
