"""Imputation and scaling against scikit-learn, to the digits that float64 allows."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

from emberharmony.features.kinds.numeric import Scaling, count_clipped, numbers, scale
from emberharmony.stats import Moments


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
