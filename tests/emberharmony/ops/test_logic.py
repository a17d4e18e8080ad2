"""Comparisons and logic on every backend, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from emberharmony import ops

A = np.array([[-1.5, 0.0, np.nan, np.inf], [2.0, -0.0, 1.0, -np.inf]], np.float32)
B = np.array([[-1.5, -0.0, np.nan, 1.0], [1.0, 0.0, 2.0, -np.inf]], np.float32)
TRUE = A > 0


@pytest.mark.parametrize("name", ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"])
def test_comparisons(backend, name):
    got = getattr(ops, name)(ops.asarray(A), ops.asarray(B))
    assert got.dtype is ops.bool
    np.testing.assert_array_equal(got.numpy(), getattr(np, name)(A, B))


@pytest.mark.parametrize("name", ["isnan", "isinf", "isfinite", "signbit"])
def test_kinds_of_numbers(backend, name):
    np.testing.assert_array_equal(getattr(ops, name)(ops.asarray(A)).numpy(), getattr(np, name)(A))


@pytest.mark.parametrize("name", ["logical_and", "logical_or", "logical_xor"])
def test_logic(backend, name):
    got = getattr(ops, name)(ops.asarray(TRUE), ops.asarray(B > 0))
    np.testing.assert_array_equal(got.numpy(), getattr(np, name)(TRUE, B > 0))
    np.testing.assert_array_equal(ops.logical_not(ops.asarray(TRUE)).numpy(), ~TRUE)


@pytest.mark.parametrize("name", ["bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift"])
def test_bits(backend, name):
    a, b = np.array([0, 5, 127, -8], np.int32), np.array([1, 3, 2, 1], np.int32)
    np.testing.assert_array_equal(getattr(ops, name)(ops.asarray(a), ops.asarray(b)).numpy(), getattr(np, name)(a, b))
    np.testing.assert_array_equal(ops.bitwise_invert(ops.asarray(a)).numpy(), ~a)


def test_operands_are_broadcast(backend):
    assert ops.less(ops.asarray(A), ops.asarray(B[0])).shape == (2, 4)
    np.testing.assert_array_equal((ops.asarray(A) < 1.0).numpy(), A < 1.0)
