"""Tensors: operators, operands of other kinds, and what may be written into them."""

from __future__ import annotations

import numpy as np
import pytest

from emberharmony import ops


def test_python_numbers_are_weak(backend):
    x = ops.asarray([1.0, 2.0], dtype=ops.float32)
    assert (2 * ops.pi * x).dtype is ops.float32
    assert (x + 1).dtype is ops.float32
    assert (np.float64(2) * x).dtype is (np.int64(2) * x).dtype is ops.float32
    assert (x + 1j).dtype is ops.complex64
    assert (ops.asarray([1], dtype=ops.int8) + 1).dtype is ops.int8
    assert (ops.asarray([12]) / 24.0).dtype is ops.float64  # integers beside a Python float, as in NumPy
    assert ops.sin(ops.asarray([1])).dtype is ops.float64


@pytest.mark.parametrize(
    ("left", "right"),
    [("int64", "float32"), ("bool", "int8"), ("bool", "float64"), ("uint64", "int64"), ("int8", "complex64")],
)
def test_mixed_kinds_are_refused(backend, left, right):
    a, b = ops.ones(2, dtype=left), ops.ones(2, dtype=right)
    with pytest.raises(TypeError, match="do not promote"):
        _ = a + b
    with pytest.raises(TypeError, match="do not promote"):
        ops.result_type(a, b)
    with pytest.raises(TypeError, match="do not promote"):
        ops.concat([a, b])
    with pytest.raises(TypeError, match="does not combine"):
        _ = ops.ones(2, dtype=ops.bool) + 1


def test_in_place_keeps_dtype_and_shape(backend):
    x = ops.asarray([1.0, 2.0], dtype=ops.float32)
    y = x
    y += 1
    assert x is y
    assert x.tolist() == [2.0, 3.0]
    with pytest.raises(TypeError, match="in-place"):
        x += ops.asarray([1.0], dtype=ops.float64)
    with pytest.raises(TypeError, match="in-place"):
        x += ops.ones((2, 2), dtype=ops.float32)


def test_foreign_operands(backend):
    x = ops.asarray([1.0, 2.0])
    with pytest.raises(TypeError):
        _ = x + "a"
    with pytest.raises(TypeError):
        _ = object() * x
    with pytest.raises(TypeError, match="convert_to_tensor"):
        ops.sin([1.0])
    assert (x == None) is False  # noqa: E711


def test_native_arrays_are_accepted(backend):
    x = ops.asarray([1.0, 4.0])
    assert ops.sqrt(x._array).tolist() == [1.0, 2.0]
    assert (x + x._array).tolist() == [2.0, 8.0]
    assert ops.concat([x._array, x]).backend == backend


def test_numpy_scalars_are_written(backend):
    x = ops.zeros(2, dtype=ops.float32)
    x[0] = np.float64(2)
    x[1] = np.int64(3)
    assert x.tolist() == [2.0, 3.0]
    with pytest.raises(TypeError, match="does not combine"):
        ops.zeros(1, dtype=ops.int8)[0] = 1.5
