"""Functions of elements on every backend, against NumPy in float64."""

from __future__ import annotations

import numpy as np
import pytest

from emberharmony import ops

X = np.array([-2.5, -1.0, -0.25, 0.0, 0.25, 1.0, 2.5], np.float32)
UNIT = np.array([-0.9, -0.5, 0.0, 0.5, 0.9], np.float32)
POSITIVE = np.array([0.1, 1.0, 2.5, 1e6], np.float32)


@pytest.mark.parametrize(
    ("name", "x"),
    [
        *((name, X) for name in ("abs", "ceil", "cos", "cosh", "exp", "expm1", "floor", "negative", "positive", "sign")),
        *((name, X) for name in ("sin", "sinh", "square", "tan", "tanh", "trunc", "asinh", "atan")),
        *((name, UNIT) for name in ("acos", "asin", "atanh")),
        *((name, POSITIVE) for name in ("log", "log1p", "log2", "log10", "sqrt", "reciprocal")),
        ("acosh", POSITIVE + 1),
    ],
)
def test_of_one(backend, name, x):
    got = getattr(ops, name)(ops.asarray(x))
    assert got.dtype is ops.float32
    inverse = {
        "acos": "arccos",
        "asin": "arcsin",
        "atanh": "arctanh",
        "asinh": "arcsinh",
        "atan": "arctan",
        "acosh": "arccosh",
    }
    expected = getattr(np, inverse.get(name, name))(x.astype(np.float64))
    np.testing.assert_allclose(got.numpy(), expected, rtol=2e-6, atol=1e-6)


TWO = ["add", "subtract", "multiply", "divide", "maximum", "minimum", "hypot", "copysign", "atan2"]


@pytest.mark.parametrize("name", TWO)
def test_of_two(backend, name):
    a, b = X[:, None], np.array([-2.0, 0.5, 3.0], np.float32)
    got = getattr(ops, name)(ops.asarray(a), ops.asarray(b))
    expected = getattr(np, {"atan2": "arctan2"}.get(name, name))(a.astype(np.float64), b)
    np.testing.assert_allclose(got.numpy(), expected, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("divisor", [-3, 3])
def test_quotients_round_down(backend, divisor):
    a = np.arange(-7, 8, dtype=np.int32)
    b = np.full_like(a, divisor)
    np.testing.assert_array_equal(ops.floor_divide(ops.asarray(a), ops.asarray(b)).numpy(), a // divisor)
    np.testing.assert_array_equal(ops.remainder(ops.asarray(a), ops.asarray(b)).numpy(), a % divisor)


def test_halves_round_to_even(backend):
    x = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5], np.float32)
    assert ops.round(ops.asarray(x)).tolist() == [-2.0, -2.0, -0.0, 0.0, 2.0, 2.0]


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (None, 0.5), (-0.5, None), (None, None)])
def test_bounds(backend, low, high):
    expected = np.minimum(np.maximum(X, -np.inf if low is None else low), np.inf if high is None else high)
    np.testing.assert_array_equal(ops.clip(ops.asarray(X), low, high).numpy(), expected)


def test_powers(backend):
    x = np.array([0.5, 1.0, 2.0], np.float32)
    np.testing.assert_allclose((ops.asarray(x) ** 3).numpy(), x**3, rtol=1e-6)
    np.testing.assert_allclose(ops.pow(ops.asarray(x), ops.asarray(-x)).numpy(), x**-x, rtol=1e-6)


def test_numbers_beside_tensors_keep_their_data_type(backend):
    x = ops.asarray(X)
    assert (x * 2).dtype is (1.5 + x).dtype is ops.float32
    np.testing.assert_array_equal((1 - x).numpy(), 1 - X)
