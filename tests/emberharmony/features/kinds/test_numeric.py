"""Imputation and scaling against scikit-learn, to the digits that float64 allows."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

from emberharmony.errors import DataError
from emberharmony.features.drift import drift_verdict
from emberharmony.features.kinds.base import DroppedColumn
from emberharmony.features.kinds.numeric import Numeric, Scaling, count_clipped, numbers, scale, scale_each
from emberharmony.features.specs import FeatureSpecs
from emberharmony.stats import Moments
from tests.kinds import assert_any_chunking_counts_the_same, chunked, learnt, moved, psi, survives_json

NUMERIC = Numeric()


def sklearn_scaled(train, x):
    train, x = (np.where(np.isfinite(v), v, np.nan)[:, None] for v in (train, x))
    imputer = SimpleImputer(strategy="median").fit(train)
    scaler = StandardScaler().fit(imputer.transform(train))
    return scaler.transform(imputer.transform(x))[:, 0]


def fitted(train):
    finite = train[np.isfinite(train)]
    return Scaling.fit(Moments.of(finite), median=float(np.median(finite)), n_missing=len(train) - len(finite))


@given(
    st.lists(st.one_of(st.floats(-1e5, 1e5, width=32), st.sampled_from([np.nan, np.inf, -np.inf])), min_size=2, max_size=50)
)
def test_equals_scikit_learn(values):
    x = np.array(values, np.float64)
    finite = x[np.isfinite(x)]
    if len(finite) == 0 or np.ptp(finite) < 1e-3:
        return  # dropped as missing or constant
    got = scale(x, fitted(x))
    assert got.shape == (1, len(x))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got[0], sklearn_scaled(x, x), rtol=1e-6, atol=1e-6)


def test_backends_agree_on_a_huge_offset(backend):
    x = 1e9 + np.random.default_rng(0).normal(size=1000)
    x[::7] = np.nan
    x.flags.writeable = False
    np.testing.assert_allclose(scale(x, fitted(x))[0], sklearn_scaled(x, x), atol=1e-6)


def test_rows_after_training_are_scaled_by_training(backend):
    train, later = np.array([0.0, 2.0, 4.0, 4.0]), np.array([100.0, np.nan, -np.inf])
    np.testing.assert_allclose(scale(later, fitted(train))[0], sklearn_scaled(train, later), rtol=1e-6)


def test_values_beyond_float32_become_its_largest_number(backend):
    train, largest = np.array([-1e-3, 1e-3]), float(np.finfo(np.float32).max)
    later = np.array([3.4e38, -3.4e38, 1.797e308, -1.797e308, 1e30, 0.0, np.inf])
    got = scale(later, fitted(train))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got[0], [largest, -largest, largest, -largest, 1e33, 0.0, 0.0], rtol=1e-6)
    assert count_clipped(got) == 4
    assert count_clipped(np.empty((2, 0), np.float32)) == 0


def test_unscaled():
    assert scale(np.array([1.0, np.nan]), Scaling.unscaled(0.5)).tolist() == [[1.0, 0.5]]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1, None, -3], pa.int8()), [1, np.nan, -3]),
        (pa.array([2**64 - 1, None], pa.uint64()), [2.0**64, np.nan]),
        (pa.array([True, None, False]), [1, np.nan, 0]),
        (pa.array(np.array([1.5, np.nan], np.float16)), [1.5, np.nan]),
        (pa.array([1.25, None, float("nan")], pa.float32()), [1.25, np.nan, np.nan]),
        (pa.array([Decimal("1.25"), None], pa.decimal128(10, 2)), [1.25, np.nan]),
        (pa.array([Decimal("-1.25"), None], pa.decimal256(50, 2)), [-1.25, np.nan]),
        (pa.array([Decimal("-1.25"), None], pa.decimal32(9, 2)), [-1.25, np.nan]),
        (pa.array([Decimal("-1.25"), None], pa.decimal64(18, 2)), [-1.25, np.nan]),
        (pa.array([90, None], pa.duration("s")), [90, np.nan]),
        (pa.array([1_500, None, -1], pa.duration("ms")), [1.5, np.nan, -0.001]),
        (pa.array([1, None], pa.duration("ns")), [1e-9, np.nan]),
        (pa.array([86_399, None], pa.time32("s")), [86_399, np.nan]),
        (pa.array([500, None], pa.time32("ms")), [0.5, np.nan]),
        (pa.array([1_000_001, None], pa.time64("us")), [1.000001, np.nan]),
        (pa.array([2, None], pa.time64("ns")), [2e-9, np.nan]),
        (pa.array([], pa.int64()), []),
        (pa.array([2**53 + 1], pa.int64()), [2.0**53]),
    ],
    ids=str,
)
def test_numbers(column, expected):
    for values in (column, pa.chunked_array([column]), pa.chunked_array([column.slice(0, 1), column.slice(1)])):
        got = numbers(values)
        assert got.dtype == np.float64
        np.testing.assert_array_equal(got, expected)


def test_one_feature_of_each_column():
    values = chunked([1.0, None, np.inf, 3.0, 5.0, 5.0])
    fitted, _ = learnt(NUMERIC, values)
    assert (fitted.features, fitted.few_values, fitted.n_nonfinite, fitted.is_scaled) == (("c",), True, 1, True)
    assert NUMERIC.describe(fitted) == ["c of the source, missing values filled in and scaled"]
    assert NUMERIC.width(FeatureSpecs()) == 1
    x = values.to_numpy()
    np.testing.assert_allclose(NUMERIC.transform(values, fitted)[0], sklearn_scaled(x, x), rtol=1e-6)
    assert survives_json(fitted)


def test_many_values_do_not_pay_in_a_dictionary():
    assert not learnt(NUMERIC, chunked(np.random.default_rng(0).normal(size=5_000)))[0].few_values


def test_constant_numbers_make_no_feature():
    profile = NUMERIC.profile(chunked([7.0, None, 7.0]), FeatureSpecs())
    assert NUMERIC.fit("x", profile, FeatureSpecs(), list) == DroppedColumn("x", "constant in training (7)")


def test_numbers_too_far_apart_are_refused():
    profile = NUMERIC.profile(chunked([1.0, 1e200]), FeatureSpecs())
    with pytest.raises(DataError, match=r"Column 'x' holds numbers from 1 to 1e\+200 in training, too far apart"):
        NUMERIC.fit("x", profile, FeatureSpecs(), list)


def test_scaling_each_feature_of_a_block(backend):
    block = np.array([[1.0, 2.0], [3.0, 5.0]], np.float32)
    assert scale_each(block, ()) is block
    assert scale_each(block, (Scaling(0, 1, 1), Scaling(0, 3, 2))).tolist() == [[0.0, 1.0], [0.0, 1.0]]


def test_drift_of_numbers():
    rng = np.random.default_rng(0)
    then, now = rng.normal(10, 2, 5000), rng.normal(11, 2, 3000)
    then[:500], now[:30] = np.nan, np.inf
    found = moved(NUMERIC, chunked(then), chunked(now))
    assert found["null_share"] == pytest.approx(0.01)
    assert found["null_share_change"] == pytest.approx(0.01 - 0.1)
    assert (found["rows"], found["training_rows"]) == (3000, 5000)
    assert (found["min"], found["max"]) == (now[30:].min(), now[30:].max())
    seen = then[500:]
    assert found["mean_shift"] == pytest.approx((now[30:].mean() - seen.mean()) / seen.std(), rel=1e-9)
    edges = learnt(NUMERIC, chunked(then))[1].edges
    np.testing.assert_allclose(edges, np.quantile(seen, np.arange(1, 10) / 10), rtol=1e-3)
    shares = [np.append(np.bincount(np.digitize(x, edges), minlength=10), n) for x, n in ((seen, 500), (now[30:], 30))]
    assert found["psi"] == pytest.approx(psi(*shares), rel=1e-2)


def test_the_same_numbers_have_not_moved():
    values = chunked(np.random.default_rng(1).normal(size=20_000))
    found = moved(NUMERIC, values, values)
    assert abs(found["mean_shift"]) < 1e-12
    assert found["psi"] < 1e-4
    assert drift_verdict(found) == "stable"


def test_drift_of_few_values_and_of_no_rows():
    values = chunked([0.0] * 90 + [1.0] * 10)
    fitted, baseline = learnt(NUMERIC, values)
    assert len(baseline.edges) == 2  # nine deciles, of which two differ
    assert baseline.counts.bins.tolist() == [0, 90, 10]
    found = NUMERIC.drift(baseline, NUMERIC.count(chunked([], pa.float64()), fitted, baseline))
    assert found["null_share"] == 0.0
    assert found.keys().isdisjoint({"mean_shift", "min", "max"})
    assert np.isfinite(found["psi"])


def test_any_chunking_counts_the_same():
    assert_any_chunking_counts_the_same(NUMERIC, chunked(np.random.default_rng(2).normal(size=999)))


@pytest.mark.parametrize(
    ("type_", "number"), [("FLOAT64", "IF(IS_NAN(`x`) OR IS_INF(`x`), NULL, `x`)"), ("INT64", "CAST(`x` AS FLOAT64)")]
)
def test_aggregates(type_, number):
    found = NUMERIC.aggregates("`x`", type_, n_quantiles=10, n_top=3)
    assert found["mean"] == f"AVG({number})"
    assert found["quantiles"] == f"APPROX_QUANTILES({number}, 10)"
    assert ("IS_INF" in found["nonfinite"]) == (type_ == "FLOAT64")
    assert NUMERIC.why_not_aggregated(pa.float64(), FeatureSpecs()) is None
