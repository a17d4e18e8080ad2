"""Reductions on every backend, against NumPy in float64."""

from __future__ import annotations

import numpy as np
import pytest

from emberharmony import ops

X = np.random.default_rng(3).normal(size=(3, 4, 5)).astype(np.float32)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), ()], ids=str)
@pytest.mark.parametrize("name", ["sum", "mean", "prod", "max", "min", "std", "var", "any", "all", "count_nonzero"])
def test_reductions(backend, name, axis, keepdims):
    x = np.where(X > 1.0, np.float32(0), X)
    x = x != 0 if name in ("any", "all") else x
    got = getattr(ops, name)(ops.asarray(x), axis=axis, keepdims=keepdims)
    if name == "count_nonzero":
        expected = np.sum(x != 0, axis=axis, keepdims=keepdims)
    else:
        expected = getattr(np, name)(x.astype(np.float64) if x.dtype != bool else x, axis=axis, keepdims=keepdims)
    assert got.shape == np.shape(expected)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("correction", [0, 1, 2.5])
def test_corrections(backend, correction):
    got = ops.var(ops.asarray(X), axis=1, correction=correction).numpy()
    np.testing.assert_allclose(got, ((X - X.mean(axis=1, keepdims=True)) ** 2).sum(axis=1) / (4 - correction), rtol=1e-5)


@pytest.mark.parametrize("initial", [False, True])
def test_running_sums(backend, initial):
    got = ops.cumulative_sum(ops.asarray(X), axis=1, include_initial=initial).numpy()
    expected = np.cumsum(X, axis=1)
    expected = np.concatenate([np.zeros((3, 1, 5)), expected], axis=1) if initial else expected
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_sums_of_small_integers_do_not_overflow(backend):
    assert ops.sum(ops.asarray(np.full(1000, 100, np.int8))).item() == 100_000


def test_nan_is_the_result_where_it_is_an_element(backend):
    x = ops.asarray(np.array([1.0, np.nan, 2.0], np.float32))
    assert all(np.isnan(getattr(ops, name)(x).item()) for name in ("sum", "mean", "max", "min", "std"))
