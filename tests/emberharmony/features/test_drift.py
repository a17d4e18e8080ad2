"""What the drift of every kind is made of; the kinds' own figures are tested with them."""

import json

import numpy as np
import pytest

from emberharmony.features.drift import (
    Baseline,
    ColumnCounts,
    drift_verdict,
    null_drift,
    null_figures,
    psi_drift,
    stability_index,
)
from emberharmony.stats import Moments
from tests.kinds import psi


def counts(n_rows, n_missing, bins, x=()):
    return ColumnCounts(n_rows, n_missing, Moments.of(np.array(x, float)), np.array(bins, np.int64))


def test_missing_values_are_a_bin():
    then, now = counts(100, 10, [60, 30]), counts(50, 50, [0, 0])
    assert stability_index(then, now) == pytest.approx(psi([60, 30, 10], [0, 0, 50]))
    assert null_figures(now) == {"rows": 50, "null_share": 1.0}
    assert null_drift(then, now) == {"training_rows": 100, "null_share_change": 0.9}


def test_no_rows_have_no_share():
    none = counts(0, 0, [0, 0])
    assert null_figures(none)["null_share"] == 0.0
    assert null_drift(none, none)["null_share_change"] == 0.0
    assert np.isfinite(stability_index(counts(10, 0, [5, 5]), none))


def test_what_someone_should_look_at():
    assert drift_verdict({"null_share_change": 0.1, "psi": 0.25}) == "stable"
    assert drift_verdict({"null_share_change": -0.11}) == "drifted far"
    assert drift_verdict({"null_share_change": 0.0, "psi": 0.26}) == "drifted far"


def verdict(then, now):
    return drift_verdict(null_figures(now) | null_drift(then, now) | psi_drift(then, now))


DECILES, SKEWED = [1000] * 10, (20_000 / np.arange(1, 31)).astype(int)


@pytest.mark.parametrize("training", [DECILES, [9900, 100], SKEWED], ids=["deciles", "rare", "skewed"])
@pytest.mark.parametrize("n_rows", [1, 3, 20, 150, 2000])
def test_rows_without_drift_are_hardly_ever_beyond_chance(training, n_rows):
    rng, then = np.random.default_rng(7), counts(sum(training), 0, training)
    shares = np.array(training) / sum(training)
    found = [psi_drift(then, counts(n_rows, 0, rng.multinomial(n_rows, shares))) for _ in range(1500)]
    assert (
        np.mean([one["psi"] > one["psi_by_chance"] for one in found]) <= 0.004
    )  # 0.001 is the aim: 6 of 1500 has odds of 1:800


def test_few_rows_are_judged_as_such():
    then = counts(10_000, 0, DECILES)
    assert verdict(then, counts(3, 0, [3] + [0] * 9)) == "too few rows to judge"
    assert verdict(then, counts(1, 0, [1] + [0] * 9)) == "too few rows to judge"
    assert verdict(then, counts(20, 0, [20] + [0] * 9)) == "drifted far"
    assert verdict(then, counts(1000, 0, [100] * 10)) == "stable"
    assert verdict(then, counts(1000, 0, [500, 300, *[25] * 8])) == "drifted far"


def test_nulls_of_few_rows_are_judged_by_how_many_training_had():
    some, none = counts(10_000, 500, []), counts(10_000, 0, [])
    assert drift_verdict(null_figures(counts(3, 1, [])) | null_drift(some, counts(3, 1, []))) == "too few rows to judge"
    assert drift_verdict(null_figures(counts(3, 3, [])) | null_drift(some, counts(3, 3, []))) == "drifted far"
    assert drift_verdict(null_figures(counts(3, 1, [])) | null_drift(none, counts(3, 1, []))) == "drifted far"
    half = counts(10_000, 5000, [])
    assert drift_verdict(null_figures(counts(3, 0, [])) | null_drift(half, counts(3, 0, []))) == "too few rows to judge"
    assert drift_verdict(null_figures(counts(99, 0, [])) | null_drift(half, counts(99, 0, []))) == "drifted far"


def test_a_baseline_survives_json():
    for baseline in (Baseline((0.5,), counts(4, 1, [2, 1], [0.0, 0.0, 1.0])), Baseline((), counts(3, 3, []))):
        again = Baseline.from_json(json.loads(json.dumps(baseline.to_json())))
        assert (again.edges, again.counts.moments) == (baseline.edges, baseline.counts.moments)
        np.testing.assert_array_equal(again.counts.bins, baseline.counts.bins)
