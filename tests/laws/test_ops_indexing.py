"""Reading and writing through any index gives what NumPy gives, for every data type on every backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from emberharmony import ops
from emberharmony.backend import using_backend
from tests.backends import BACKENDS, on_device

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64", "complex64",
          "complex128"]  # fmt: skip
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
LAW = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
EVERY_BACKEND = pytest.mark.parametrize("backend", BACKENDS)


@st.composite
def arrays(draw: Any, backend: str, shapes: Any = SHAPES) -> np.ndarray:
    dtype = draw(st.sampled_from(DTYPES[:-1] if backend == "mlx" else DTYPES))
    return draw(hnp.arrays(dtype, shapes))


def tensor(values: np.ndarray) -> ops.Tensor:
    return ops.asarray(values.copy(), dtype=values.dtype.name)


def used(backend: str) -> Any:
    return using_backend(on_device(backend))


def assert_same(x: ops.Tensor, values: np.ndarray) -> None:
    assert x.dtype is getattr(ops, np.asarray(values).dtype.name)
    assert x.shape == np.shape(values)
    np.testing.assert_array_equal(x.numpy(), values)


@EVERY_BACKEND
@LAW
@given(data=st.data())
def test_read(backend: str, data: Any) -> None:
    values = data.draw(arrays(backend))
    key = data.draw(hnp.basic_indices(values.shape, allow_newaxis=True, max_dims=6))
    with used(backend):
        assert_same(tensor(values)[key], values[key])


@EVERY_BACKEND
@LAW
@given(data=st.data())
def test_write(backend: str, data: Any) -> None:
    values = data.draw(arrays(backend, hnp.array_shapes(min_dims=0, max_dims=3, max_side=3)))
    key = data.draw(hnp.basic_indices(values.shape))
    new = data.draw(hnp.arrays(values.dtype, values[key].shape))
    with used(backend):
        x = tensor(values)
        untouched = ops.asarray(x, copy=True)
        x[key] = new.item() if new.ndim == 0 and data.draw(st.booleans()) else tensor(new)
        changed = values.copy()
        changed[key] = new
        assert_same(x, changed)
        assert_same(untouched, values)


@EVERY_BACKEND
@LAW
@given(data=st.data())
def test_read_by_mask(backend: str, data: Any) -> None:
    values = data.draw(arrays(backend))
    mask = data.draw(hnp.arrays(bool, st.sampled_from([values.shape[:n] for n in range(values.ndim + 1)])))
    with used(backend):
        assert_same(tensor(values)[tensor(mask)], values[mask])


@EVERY_BACKEND
@LAW
@given(data=st.data())
def test_write_by_mask(backend: str, data: Any) -> None:
    values = data.draw(arrays(backend))
    mask = data.draw(hnp.arrays(bool, values.shape))
    new = data.draw(hnp.arrays(values.dtype, ()))
    with used(backend):
        x = tensor(values)
        x[tensor(mask)] = new.item() if data.draw(st.booleans()) else tensor(new)
        changed = values.copy()
        changed[mask] = new
        assert_same(x, changed)


@EVERY_BACKEND
@LAW
@given(data=st.data())
def test_read_by_integers(backend: str, data: Any) -> None:
    values = data.draw(arrays(backend, hnp.array_shapes(max_dims=3, max_side=3)))
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=2, max_side=3))
    kind = st.sampled_from(["int64", "int32", "uint8", "int8"])
    key = [data.draw(hnp.arrays(data.draw(kind), shape, elements=st.integers(0, n - 1))) for n in values.shape]
    with used(backend):
        assert_same(tensor(values)[tuple(map(tensor, key))], values[tuple(key)])
