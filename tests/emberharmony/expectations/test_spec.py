"""The section `expect`: what a column's keys take from `all`, and bounds that nothing can meet."""

from __future__ import annotations

import pytest

from emberharmony.errors import PlanError
from emberharmony.expectations.spec import ExpectedColumn, ExpectedRows, ExpectedValues, ExpectSpec
from flows.config.job import ApplyJob, Job, parse_job

PLACES = {"source": {"path": "t.parquet"}, "sink": {"path": "out"}}


def test_a_column_sets_its_own_keys_and_takes_the_others_from_all():
    shared = ExpectedValues(max_null_share=0.2, max_psi=0.25, on_failure="warn")
    expect = ExpectSpec(all=shared, columns={"x": ExpectedColumn(max_psi=0.1), "y": ExpectedColumn(on_failure="fail")})
    assert expect.of("x") == ExpectedColumn(max_null_share=0.2, max_psi=0.1, on_failure="warn")
    assert expect.of("y").on_failure == "fail"
    assert expect.of("z") == ExpectedColumn(max_null_share=0.2, max_psi=0.25, on_failure="warn")


def test_a_bound_of_zero_is_a_bound():
    assert ExpectedColumn(max_new_share=0.0, min=0).bounds == {"max_new_share": 0.0, "min": 0}
    assert ExpectSpec(columns={"x": ExpectedColumn(min=0)}).has_bounds
    assert ExpectSpec(rows=ExpectedRows(min=0)).has_bounds
    assert not ExpectSpec(all=ExpectedValues(on_failure="warn"), columns={"x": ExpectedColumn()}).has_bounds


def test_a_job_file_holds_it():
    section = {
        "rows": {"min": 1000, "of_median": [0.5, 2]},
        "all": {"max_null_share": 0.2, "on_failure": "warn"},
        "columns": {"delay": {"min": -60, "max": 1.5e3}, "carrier": {"max_new_share": 0}},
    }
    for model, more in ((Job, {}), (ApplyJob, {"state": "s"})):
        expect = parse_job({**PLACES, **more, "expect": section}, model=model).expect
        assert expect.rows == ExpectedRows(min=1000, of_median=(0.5, 2))
        assert expect.columns["delay"] == ExpectedColumn(min=-60, max=1500)
    assert not parse_job(PLACES).expect.has_bounds


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"columns": {"x": {"max_nulls": 1}}}, "max_nulls is not a known key"),
        ({"all": {"max_null_share": 20}}, "max_null_share is a share from 0 to 1, got 20"),
        ({"columns": {"x": {"max_new_share": -0.1}}}, "max_new_share is a share from 0 to 1"),
        ({"all": {"max_psi": -1}}, "max_psi is at least 0"),
        ({"columns": {"x": {"min": 3, "max": 2}}}, "min is 3 and max is 2"),
        ({"rows": {"min": 3, "max": 2}}, "min is 3 and max is 2"),
        ({"rows": {"of_median": [2.0, 0.5]}}, "nothing is between them"),
        ({"rows": {"on_failure": "stop"}}, "allowed: 'fail' or 'warn'"),
        ({"all": {"min": 3}}, "min is not a known key"),
    ],
)
def test_what_cannot_be_met_or_read_is_refused(section, message):
    with pytest.raises(PlanError, match=message):
        parse_job({**PLACES, "expect": section})
