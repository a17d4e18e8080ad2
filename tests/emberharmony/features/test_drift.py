"""What the drift of every kind is made of; the kinds' own figures are tested with them."""

import json

import numpy as np
import pytest

from emberharmony.features.drift import Baseline, ColumnCounts, is_major, null_drift, stability_index
from emberharmony.stats import Moments
from tests.kinds import psi


def counts(n_rows, n_missing, bins, x=()):
    return ColumnCounts(n_rows, n_missing, Moments.of(np.array(x, float)), np.array(bins, np.int64))


def test_missing_values_are_a_bin():
    then, now = counts(100, 10, [60, 30]), counts(50, 50, [0, 0])
    assert stability_index(then, now) == pytest.approx(psi(np.array([0.6, 0.3, 0.1]), np.array([0.0, 0.0, 1.0])))
    assert null_drift(then, now) == {"null_share": 1.0, "null_share_change": 0.9}


def test_no_rows_have_no_share():
    none = counts(0, 0, [0, 0])
    assert null_drift(none, none) == {"null_share": 0.0, "null_share_change": 0.0}
    assert np.isfinite(stability_index(counts(10, 0, [5, 5]), none))


def test_what_someone_should_look_at():
    assert not is_major({"null_share_change": 0.1, "psi": 0.25})
    assert is_major({"null_share_change": -0.11})
    assert is_major({"null_share_change": 0.0, "psi": 0.26})


def test_a_baseline_survives_json():
    for baseline in (Baseline((0.5,), counts(4, 1, [2, 1], [0.0, 0.0, 1.0])), Baseline((), counts(3, 3, []))):
        again = Baseline.from_json(json.loads(json.dumps(baseline.to_json())))
        assert (again.edges, again.counts.moments) == (baseline.edges, baseline.counts.moments)
        np.testing.assert_array_equal(again.counts.bins, baseline.counts.bins)
