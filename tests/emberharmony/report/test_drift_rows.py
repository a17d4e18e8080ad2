"""The table of drift: the furthest column first, the same figures in every row."""

from __future__ import annotations

from emberharmony.features.drift import MAJOR_NULL_SHARE_CHANGE, MAJOR_PSI
from emberharmony.report.drift_rows import by_drift, drift_line, drift_rows

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


FEW = {"rows": 3, "training_rows": 100, "null_share": 0.0, "null_share_change": 0.0, "psi": 1.5, "psi_by_chance": 9.31}


def test_columns_of_too_few_rows_come_before_stable_ones():
    assert by_drift({"a": DRIFT["stable"], "b": FEW, "c": DRIFT["lost"]}) == ["c", "b", "a"]
    assert [row["rows"] for row in drift_rows({"a": DRIFT["stable"], "b": FEW})] == ["3", ""]


def test_the_line_says_on_how_many_rows_it_was_judged():
    enough = FEW | {"rows": 12_000, "psi": 0.3, "psi_by_chance": 0.01}
    assert drift_line({"a": FEW, "b": FEW}, most=5) == (
        "3 rows are too few to judge drift: chance alone gives a PSI of up to 9.31, more than 0.25"
    )
    assert drift_line({"a": enough | {"psi": 0.1}}, most=5) == (
        "none of 1 column has drifted far from the training rows; judged on 12,000 rows"
    )
    assert drift_line({"a": enough, "b": enough, "c": FEW}, most=1) == (
        "2 of 3 columns have drifted far from the training rows: a (PSI 0.300) and 1 more; judged on 12,000 rows, "
        "too few to judge 1 column"
    )
