"""Data types of tensors: casts, limits and results of mixed operands, on every backend."""

from __future__ import annotations

import array_api_strict as strict
import numpy as np
import pytest

from emberharmony import ops

FLOATS, INTEGERS = ("float32",), ("int8", "int32", "int64", "uint8")


@pytest.mark.parametrize("to", [*FLOATS, *INTEGERS, "bool"])
@pytest.mark.parametrize("source", [*FLOATS, *INTEGERS, "bool"])
def test_casts(backend, source, to):
    x = np.array([0, 1, 2, 100], source)
    got = ops.astype(ops.asarray(x), getattr(ops, to))
    assert got.dtype.name == to
    np.testing.assert_array_equal(got.numpy(), x.astype(to))


@pytest.mark.parametrize(("a", "b"), [("int8", "int32"), ("uint8", "int8"), ("float32", "float32"), ("bool", "bool")])
def test_results_of_mixed_operands(backend, a, b):
    expected = str(strict.result_type(getattr(strict, a), getattr(strict, b))).rsplit(".", 1)[-1]
    assert ops.result_type(getattr(ops, a), getattr(ops, b)).name == expected
    if a != "bool":
        x, y = ops.ones(2, dtype=getattr(ops, a)), ops.ones(2, dtype=getattr(ops, b))
        assert (x + y).dtype.name == expected


def test_limits(backend):
    for name in INTEGERS:
        got, expected = ops.iinfo(getattr(ops, name)), np.iinfo(name)
        assert (got.bits, got.min, got.max) == (expected.bits, expected.min, expected.max)
    got, expected = ops.finfo(ops.float32), np.finfo(np.float32)
    assert (got.bits, got.eps, got.max, got.smallest_normal) == pytest.approx(
        (expected.bits, float(expected.eps), float(expected.max), float(expected.smallest_normal))
    )


@pytest.mark.parametrize(
    ("dtype", "kind", "expected"),
    [("int8", "signed integer", True), ("int8", "unsigned integer", False), ("float32", ("bool", "real floating"), True)],
)
def test_kinds(backend, dtype, kind, expected):
    assert ops.isdtype(getattr(ops, dtype), kind) is expected


def test_which_casts_lose_nothing(backend):
    assert ops.can_cast(ops.int8, ops.int32)
    assert not ops.can_cast(ops.float32, ops.int32)
