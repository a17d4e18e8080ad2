"""What is expected, held against figures whose answers are plain."""

from __future__ import annotations

import numpy as np
import pytest

from emberharmony.errors import PlanError
from emberharmony.expectations.checks import MAX_LISTED, Verdict, check_expected, error_of, judge
from emberharmony.expectations.spec import ExpectedColumn, ExpectedRows, ExpectedValues, ExpectSpec
from emberharmony.features.kinds.categorical import Categorical
from emberharmony.features.kinds.datetime import Datetime
from emberharmony.features.kinds.numeric import Numeric
from emberharmony.features.kinds.registry import KINDS
from tests.kinds import chunked, learnt, moved

TRAINING = np.random.default_rng(3).normal(10, 2, 20_000)


def outcomes(expected, found, *, n_rows=None):
    expect = ExpectSpec(columns={"x": ExpectedColumn(**expected)})
    rows = int(found["rows"]) if n_rows is None else n_rows
    return {v.expectation.removeprefix("x."): v.outcome for v in judge(expect, n_rows=rows, figures={"x": found})}


def drifted(n_rows, shift=0.0, *, n_null=0, seed=0):
    now = np.random.default_rng(seed).normal(10 + shift, 2, n_rows)
    now[:n_null] = np.nan
    return moved(Numeric(), chunked(TRAINING), chunked(now))


def test_a_range_is_that_of_the_rows():
    found = {"rows": 5, "null_share": 0.0, "min": -3.0, "max": 8.0}
    assert outcomes({"min": -3, "max": 8}, found) == {"min": "passed", "max": "passed"}
    assert outcomes({"min": -2.9, "max": 7.9}, found) == {"min": "failed", "max": "failed"}
    assert outcomes({"min": 0}, {"rows": 5, "null_share": 1.0}) == {}  # no number, no range


def test_slices_of_few_rows_from_the_training_distribution_do_not_fail():
    """One in 1,000 may: of 400 slices, three or more have odds of 1:100."""
    found = [outcomes({"max_psi": 0.1}, drifted(n, seed=seed))["max_psi"] for seed in range(100) for n in (1, 3, 10, 60)]
    assert found.count("failed") <= 2
    assert found.count("too few rows") >= 398


@pytest.mark.parametrize(("n_rows", "shift"), [(100, 4.0), (2_000, 1.0), (20_000, 0.7)])
def test_shifted_slices_of_enough_rows_fail(n_rows, shift):
    found = [outcomes({"max_psi": 0.1}, drifted(n_rows, shift, seed=seed))["max_psi"] for seed in range(10)]
    assert found == ["failed"] * 10


def test_many_rows_without_drift_pass():
    assert outcomes({"max_psi": 0.1}, drifted(5_000))["max_psi"] == "passed"


def test_nulls_fail_if_training_rows_with_a_null_share_within_the_bound_could_hardly_have_as_many():
    assert outcomes({"max_null_share": 0.05}, drifted(2_000, n_null=100)) == {"max_null_share": "passed"}
    assert outcomes({"max_null_share": 0.05}, drifted(2_000, n_null=101)) == {"max_null_share": "failed"}
    then = TRAINING.copy()
    then[:800] = np.nan  # 4 %
    for n_rows, n_null, outcome in ((3, 1, "too few rows"), (3, 3, "failed"), (30, 3, "too few rows"), (30, 15, "failed")):
        now = np.append(np.full(n_null, np.nan), np.full(n_rows - n_null, 10.0))
        found = moved(Numeric(), chunked(then), chunked(now))
        assert outcomes({"max_null_share": 0.05}, found) == {"max_null_share": outcome}, (n_rows, n_null)


def test_a_bound_below_the_training_share_is_kept_to():
    then, now = TRAINING.copy(), TRAINING.copy()
    then[:7000], now[:6000] = np.nan, np.nan  # 35 % and 30 %
    assert outcomes({"max_null_share": 0.2}, moved(Numeric(), chunked(then), chunked(now))) == {"max_null_share": "failed"}


def test_a_bound_of_zero_allows_none_however_few_the_rows():
    assert outcomes({"max_null_share": 0.0}, drifted(3, n_null=1)) == {"max_null_share": "failed"}
    colors = chunked(["red", "blue"] * 500)
    for now, outcome in ((["red"] * 3, "passed"), (["red", "red", "green"], "failed")):
        found = moved(Categorical(), colors, chunked(now))
        assert outcomes({"max_new_share": 0.0}, found) == {"max_new_share": outcome}


def test_new_categories_are_those_beyond_what_training_had_outside_the_vocabulary():
    common, rare = ["a"] * 900, [f"rare {i}" for i in range(150)]  # 100 are in the vocabulary
    then = chunked([*common, *rare])
    same = moved(Categorical(), then, then)
    assert same["other_share"] == pytest.approx(51 / 1050)
    assert outcomes({"max_new_share": 0.0}, same) == {"max_new_share": "passed"}
    more = moved(Categorical(), then, chunked([*common, *rare, *["new"] * 300]))
    assert outcomes({"max_new_share": 0.1}, more) == {"max_new_share": "failed"}
    assert outcomes({"max_new_share": 0.5}, more) == {"max_new_share": "passed"}


def test_rows_a_job_fits_on_are_held_against_the_bound_alone():
    found = {"rows": 3, "null_share": 1 / 3, "min": 1.0, "max": 2.0}
    assert outcomes({"max_null_share": 0.3, "max": 2}, found) == {"max_null_share": "failed", "max": "passed"}


def test_the_number_of_rows():
    def of(n_rows, earlier=(), **bounds):
        verdicts = judge(ExpectSpec(rows=ExpectedRows(**bounds)), n_rows=n_rows, figures={}, earlier_rows=earlier)
        return [(v.expectation, v.outcome, v.bound) for v in verdicts]

    assert of(9, min=10, max=20) == [("rows.min", "failed", 10), ("rows.max", "passed", 20)]
    assert of(21, min=10, max=20, on_failure="warn") == [("rows.min", "passed", 10), ("rows.max", "warned", 20)]
    week = [100, 110, 90, 5000]  # the median is 105
    assert of(52, week, of_median=(0.5, 2.0)) == [("rows.of_median", "failed", 52.5)]
    assert of(53, week, of_median=(0.5, 2.0)) == [("rows.of_median", "passed", 210)]
    assert of(211, week, of_median=(0.5, 2.0)) == [("rows.of_median", "failed", 210)]
    assert of(1, [100, 100], of_median=(0.5, 2.0)) == []  # too few slices to compare with
    assert of(0, min=1) == [("rows.min", "failed", 1)]


def test_a_column_that_the_fit_dropped_does_not_meet_what_is_expected_of_it():
    expect = ExpectSpec(all=ExpectedValues(max_null_share=0.5), columns={"x": ExpectedColumn(max_null_share=0.1)})
    (verdict,) = judge(expect, n_rows=9, figures={}, without_features={"x": "95% are missing", "other": "constant"})
    assert (verdict.outcome, verdict.text) == ("failed", "x: the column makes no features: 95% are missing")


def test_an_error_lists_each_number_with_its_bound():
    verdicts = [
        Verdict("delay.max", "failed", 1842.0, 1500.0, 342),
        Verdict("delay.min", "warned", -99.0, -60.0, 342),
        Verdict("carrier.max_psi", "failed", 0.61234, 0.2, 342),
        Verdict("color.max_psi", "too few rows", 1.3, 0.2, 3, chance=9.3),
    ]
    error = error_of(verdicts)
    assert str(error).splitlines()[:3] == [
        "2 of 4 expectations are not met, so nothing was published:",
        "  delay.max: 1,842, at most 1,500 is expected; judged on 342 rows",
        "  carrier.max_psi: 0.612, at most 0.2 is expected; judged on 342 rows",
    ]
    assert [Verdict.from_json(data) for data in error.failed] == [verdicts[0], verdicts[2]]
    assert error.n_failed == 2
    assert verdicts[3].text == "color.max_psi: 1.3, at most 0.2 is expected, and chance gives up to 9.3; judged on 3 rows"
    assert error_of(verdicts[1:2] + verdicts[3:]) is None


def test_an_error_of_many_columns_stays_short():
    error = error_of([Verdict(f"column {i}.max", "failed", 2.0, 1.0, 9) for i in range(1000)])
    assert len(str(error).splitlines()) == MAX_LISTED + 3
    assert "  and 970 more" in str(error)
    assert (len(error.failed), error.n_failed) == (MAX_LISTED, 1000)


@pytest.mark.parametrize(
    ("expect", "fits", "message"),
    [
        ({"columns": {"delay": ExpectedColumn(max=1)}}, False, r"'delay', and the job makes no .* Did you mean 'dep_delay'"),
        (
            {"columns": {"carrier": ExpectedColumn(min=0)}},
            False,
            "columns.carrier.min: a categorical column has max_null_share",
        ),
        ({"columns": {"dep_delay": ExpectedColumn(max_psi=1)}}, True, "columns.dep_delay.max_psi compares rows"),
        ({"all": ExpectedValues(max_new_share=1)}, True, "expect.all.max_new_share compares rows"),
        ({"rows": ExpectedRows(of_median=(0.5, 2))}, False, "not run slice by slice"),
    ],
)
def test_bounds_that_a_job_has_no_number_for_are_refused(expect, fits, message):
    kinds = {"dep_delay": "numeric", "carrier": "categorical"}
    with pytest.raises(PlanError, match=message):
        check_expected(ExpectSpec(**expect), kinds, fits=fits, has_slice=False)


def test_what_a_job_can_expect():
    expect = ExpectSpec(
        ExpectedRows(of_median=(0.5, 2)), ExpectedValues(max_new_share=0), {"t": ExpectedColumn(max_null_share=0)}
    )
    check_expected(expect, {"t": "datetime"}, fits=False, has_slice=True)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_kind_has_a_number_for_its_bounds(kind):
    values = {"numeric": [1.0, 2.0], "boolean": [True, False], "categorical": ["a", "b"]}
    then = chunked(values.get(kind.name) or np.array(["2026-11-28", "2026-11-29"], "datetime64[us]"))
    fitted, baseline = learnt(kind, then)
    found = kind.drift(baseline, kind.count(then, fitted, baseline))
    expected = ExpectedColumn(**dict.fromkeys(ExpectedColumn.__dataclass_fields__.keys() - {"on_failure"}, 1.0))
    judged = judge(ExpectSpec(columns={"x": expected}), n_rows=2, figures={"x": found})
    allowed = {verdict.expectation.removeprefix("x.") for verdict in judged}
    assert set(kind.bounds) <= allowed
    assert allowed - {"min", "max"} == set(kind.bounds) - {"min", "max"}


def test_a_time_has_no_range():
    assert Datetime().bounds == ("max_null_share",)
