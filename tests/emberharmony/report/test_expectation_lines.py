"""Expectations in the summary."""

from __future__ import annotations

from emberharmony.expectations.checks import Verdict
from emberharmony.report.expectation_lines import MAX_LINES, expectation_lines


def test_those_that_are_not_met_have_a_line_each():
    verdicts = [
        *(Verdict(f"c{i}.max", "warned", 2.0, 1.0, 9) for i in range(MAX_LINES + 2)),
        Verdict("x.max_psi", "too few rows", 0.7, 0.2, 9, chance=3.0),
        *(Verdict(f"p{i}.max", "passed", 1.0, 1.0, 9) for i in range(1200)),
    ]
    (label, first), *lines = expectation_lines([verdict.to_json() for verdict in verdicts])
    assert (label, first) == ("expect", "1,200 met, 7 not met, 1 on too few rows to judge")
    assert [label for label, _ in lines] == [""] * (MAX_LINES + 1)
    assert lines[0][1] == "c0.max: 2, at most 1 is expected; judged on 9 rows"
    assert lines[-1][1].startswith("and 2 more")


def test_a_job_that_expects_nothing_says_nothing():
    assert list(expectation_lines(())) == []
