"""New tensors on every backend: values, shapes and data types, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from emberharmony import ops


@pytest.mark.parametrize("arguments", [(5,), (2, 9), (2, 9, 3), (9, 2, -2), (0.0, 1.0, 0.25), (3, 3)], ids=str)
def test_ranges(backend, arguments):
    got, expected = ops.arange(*arguments), np.arange(*arguments)
    np.testing.assert_allclose(got.numpy(), expected)
    assert got.dtype is (ops.asarray(0.0).dtype if expected.dtype.kind == "f" else ops.int64)


@pytest.mark.parametrize("endpoint", [False, True])
@pytest.mark.parametrize("n", [0, 1, 5])
def test_even_steps(backend, n, endpoint):
    got = ops.linspace(-1.0, 2.0, n, endpoint=endpoint, dtype=ops.float32)
    np.testing.assert_allclose(got.numpy(), np.linspace(-1, 2, n, endpoint=endpoint), atol=1e-6)
    assert got.dtype is ops.float32


@pytest.mark.parametrize("shape", [(), 3, (2, 0), (2, 3)], ids=str)
@pytest.mark.parametrize("dtype", ["bool", "int32", "float32"])
def test_filled(backend, shape, dtype):
    for name, value in (("zeros", 0), ("ones", 1)):
        x = getattr(ops, name)(shape, dtype=getattr(ops, dtype))
        assert (x.shape, x.dtype.name) == (np.empty(shape).shape, dtype)
        assert (x.numpy() == value).all()
        like = getattr(ops, f"{name}_like")(ops.full(shape, 1, dtype=getattr(ops, dtype)))
        assert (like.shape, like.dtype) == (x.shape, x.dtype)
        assert (like.numpy() == value).all()
    assert ops.empty(shape, dtype=getattr(ops, dtype)).shape == x.shape
    assert (ops.full_like(x, 1).numpy() == 1).all()


@pytest.mark.parametrize(("rows", "columns", "k"), [(3, None, 0), (2, 4, 1), (4, 2, -1)])
def test_ones_on_a_diagonal(backend, rows, columns, k):
    np.testing.assert_array_equal(ops.eye(rows, columns, k=k, dtype=ops.float32).numpy(), np.eye(rows, columns, k))


@pytest.mark.parametrize("k", [-1, 0, 2])
def test_triangles(backend, k):
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    np.testing.assert_array_equal(ops.tril(ops.asarray(x), k=k).numpy(), np.tril(x, k))
    np.testing.assert_array_equal(ops.triu(ops.asarray(x), k=k).numpy(), np.triu(x, k))


@pytest.mark.parametrize("indexing", ["xy", "ij"])
def test_grids(backend, indexing):
    axes = [np.arange(n, dtype=np.float32) for n in (2, 3)]
    got = ops.meshgrid(*map(ops.asarray, axes), indexing=indexing)
    for one, other in zip(got, np.meshgrid(*axes, indexing=indexing), strict=True):
        np.testing.assert_array_equal(one.numpy(), other)


def test_copies_share_no_memory(backend):
    x = ops.zeros(3)
    y = ops.asarray(x, copy=True)
    y[0] = 1.0
    assert x.tolist() == [0.0, 0.0, 0.0]
    assert y.tolist() == [1.0, 0.0, 0.0]
