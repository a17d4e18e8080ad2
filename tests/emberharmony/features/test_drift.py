"""Drift against figures from pandas and NumPy, and counts that no chunking changes."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from emberharmony.features.columns import FeatureColumn
from emberharmony.features.drift import Baseline, ColumnCounts, baseline_of, drift, is_major
from emberharmony.features.preprocessing import FittedColumn
from emberharmony.features.profile import ColumnProfile

NUMERIC = FittedColumn("x", "numeric", ("x",))
COLOR = FittedColumn("c", "categorical", (), vocabulary=("blue", "red"))


def baseline(column, values):
    profile = ColumnProfile.of(FeatureColumn(column.name, column.kind), values)
    made = baseline_of(column, profile, lambda: [profile.categories])
    return Baseline.from_json(json.loads(json.dumps(made.to_json())))


def chunked(values, type_=None):
    return pa.chunked_array([pa.array(values, type_, from_pandas=True)])


def psi(then, now):
    then, now = np.maximum(then, 1e-4), np.maximum(now, 1e-4)
    return np.sum((now - then) * np.log(now / then))


def test_numbers():
    rng = np.random.default_rng(0)
    then, now = rng.normal(10, 2, 5000), rng.normal(11, 2, 3000)
    then[:500], now[:30] = np.nan, np.inf
    trained = baseline(NUMERIC, chunked(then))
    found = drift(NUMERIC, trained, ColumnCounts.of(NUMERIC, chunked(now), trained.edges))
    assert found["null_share"] == pytest.approx(0.01)
    assert found["null_share_change"] == pytest.approx(0.01 - 0.1)
    seen = then[500:]
    assert found["mean_shift"] == pytest.approx((now[30:].mean() - seen.mean()) / seen.std(), rel=1e-9)
    edges = np.quantile(seen, np.arange(1, 10) / 10)
    np.testing.assert_allclose(trained.edges, edges, rtol=1e-3)
    shares = [np.append(np.bincount(np.digitize(x, trained.edges), minlength=10), n) for x, n in ((seen, 500), (now[30:], 30))]
    assert found["psi"] == pytest.approx(psi(shares[0] / 5000, shares[1] / 3000), rel=1e-2)


def test_nothing_has_moved_where_the_rows_are_the_same():
    values = chunked(np.random.default_rng(1).normal(size=20_000))
    trained = baseline(NUMERIC, values)
    found = drift(NUMERIC, trained, ColumnCounts.of(NUMERIC, values, trained.edges))
    assert abs(found["mean_shift"]) < 1e-12
    assert found["psi"] < 1e-4
    assert not is_major(found)


def test_categories():
    then = chunked(["red"] * 60 + ["blue"] * 30 + ["green"] * 10, pa.string())
    now = chunked(["red"] * 20 + ["violet"] * 70 + [None] * 10, pa.string())
    trained = baseline(COLOR, then)
    assert trained.counts.bins.tolist() == [30, 60, 10]
    found = drift(COLOR, trained, ColumnCounts.of(COLOR, now, ()))
    assert found["other_share"] == pytest.approx(0.7)
    assert found["other_share_change"] == pytest.approx(0.6)
    assert found["null_share"] == pytest.approx(0.1)
    assert found["psi"] == pytest.approx(psi([0.3, 0.6, 0.1, 0], np.array([0, 0.2, 0.7, 0.1])))
    assert is_major(found)


def test_booleans_and_times():
    flag = FittedColumn("f", "boolean", ("f",))
    trained = baseline(flag, chunked([True] * 25 + [False] * 75))
    found = drift(flag, trained, ColumnCounts.of(flag, chunked([True, True, False, None]), trained.edges))
    assert found["mean_shift"] == pytest.approx((2 / 3 - 0.25) / np.sqrt(0.25 * 0.75))
    assert found["psi"] == pytest.approx(psi(np.array([0.75, 0.25, 0]), np.array([0.25, 0.5, 0.25])))
    when = FittedColumn("t", "datetime", ())
    times = chunked([pd.Timestamp("2024-01-01"), None])
    assert drift(when, baseline(when, times), ColumnCounts.of(when, times, ())) == {
        "null_share": 0.5,
        "null_share_change": 0.0,
    }


def test_few_values_and_none():
    counts = chunked([0.0] * 90 + [1.0] * 10)
    trained = baseline(NUMERIC, counts)
    assert len(trained.edges) == 2  # nine deciles, of which two differ
    assert trained.counts.bins.tolist() == [0, 90, 10]
    found = drift(NUMERIC, trained, ColumnCounts.of(NUMERIC, chunked([], pa.float64()), trained.edges))
    assert found["null_share"] == 0.0
    assert "mean_shift" not in found
    assert np.isfinite(found["psi"])


@pytest.mark.parametrize("column", [NUMERIC, COLOR], ids=lambda column: column.kind)
def test_any_chunking_counts_the_same(column):
    rng = np.random.default_rng(2)
    values = chunked(rng.normal(size=999) if column is NUMERIC else rng.choice(["red", "blue", "grey", None], 999))
    edges = (-1.0, 0.0, 1.0)
    whole = ColumnCounts.of(column, values, edges)
    merged = ColumnCounts.of(column, values.slice(0, 10), edges)
    for part in (values.slice(10, 500), values.slice(510)):
        state = ColumnCounts.of(column, part, edges)
        merged = merged.merge(ColumnCounts.from_arrays(state.to_arrays()))
    assert (merged.n_rows, merged.n_missing) == (whole.n_rows, whole.n_missing)
    np.testing.assert_array_equal(merged.bins, whole.bins)
    assert merged.moments.mean == pytest.approx(whole.moments.mean)


def test_a_profile_of_the_most_frequent_values_alone():
    """As BigQuery gives it: all other values are what is left of the rows."""
    values = chunked(["red"] * 60 + ["blue"] * 30 + ["green"] * 10 + [None] * 5, pa.string())
    profile = ColumnProfile.of(FeatureColumn("c", "categorical"), values)
    top = ColumnProfile.of(FeatureColumn("c", "categorical"), values.slice(0, 90)).categories
    assert baseline_of(COLOR, profile, lambda: [top]).counts.bins.tolist() == [30, 60, 10]
