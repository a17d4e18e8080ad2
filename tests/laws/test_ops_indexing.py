"""Reading and writing through any index gives what NumPy gives, for every data type on every backend."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from emberharmony import ops
from emberharmony.backend import available_backends, using_backend
from tests.backends import BACKENDS, on_device

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64", "complex64",
          "complex128"]  # fmt: skip
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
LAW = settings(max_examples=165, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
INSTALLED = [name for name in BACKENDS if name in available_backends()]


@st.composite
def arrays(draw: Any, shapes: Any = SHAPES) -> np.ndarray:
    return draw(hnp.arrays(draw(st.sampled_from(DTYPES)), shapes))


def tensor(values: np.ndarray) -> ops.Tensor:
    return ops.asarray(values.copy(), dtype=values.dtype.name)


def backends_for(values: np.ndarray) -> Iterator[str]:
    """Backends that know the data type; each example is drawn once for all of them: drawing takes longer than computing."""
    for backend in INSTALLED:
        if not (backend == "mlx" and values.dtype == np.complex128):
            note(f"backend {backend}")
            yield on_device(backend)


def assert_same(x: ops.Tensor, values: np.ndarray) -> None:
    assert x.dtype is getattr(ops, np.asarray(values).dtype.name)
    assert x.shape == np.shape(values)
    np.testing.assert_array_equal(x.numpy(), values)


@LAW
@given(data=st.data())
def test_read(data: Any) -> None:
    values = data.draw(arrays())
    key = data.draw(hnp.basic_indices(values.shape, allow_newaxis=True, max_dims=6))
    for backend in backends_for(values):
        with using_backend(backend):
            assert_same(tensor(values)[key], values[key])


@LAW
@given(data=st.data())
def test_write(data: Any) -> None:
    values = data.draw(arrays(hnp.array_shapes(min_dims=0, max_dims=3, max_side=3)))
    key = data.draw(hnp.basic_indices(values.shape))
    new = data.draw(hnp.arrays(values.dtype, values[key].shape))
    is_number = new.ndim == 0 and data.draw(st.booleans())
    for backend in backends_for(values):
        with using_backend(backend):
            x = tensor(values)
            untouched = ops.asarray(x, copy=True)
            x[key] = new.item() if is_number else tensor(new)
            changed = values.copy()
            changed[key] = new
            assert_same(x, changed)
            assert_same(untouched, values)


@LAW
@given(data=st.data())
def test_read_by_mask(data: Any) -> None:
    values = data.draw(arrays())
    mask = data.draw(hnp.arrays(bool, st.sampled_from([values.shape[:n] for n in range(values.ndim + 1)])))
    for backend in backends_for(values):
        with using_backend(backend):
            assert_same(tensor(values)[tensor(mask)], values[mask])


@LAW
@given(data=st.data())
def test_write_by_mask(data: Any) -> None:
    values = data.draw(arrays())
    mask = data.draw(hnp.arrays(bool, values.shape))
    new, is_number = data.draw(hnp.arrays(values.dtype, ())), data.draw(st.booleans())
    for backend in backends_for(values):
        with using_backend(backend):
            x = tensor(values)
            x[tensor(mask)] = new.item() if is_number else tensor(new)
            changed = values.copy()
            changed[mask] = new
            assert_same(x, changed)


@LAW
@given(data=st.data())
def test_read_by_integers(data: Any) -> None:
    values = data.draw(arrays(hnp.array_shapes(max_dims=3, max_side=3)))
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=2, max_side=3))
    kind = st.sampled_from(["int64", "int32", "uint8", "int8"])
    key = [data.draw(hnp.arrays(data.draw(kind), shape, elements=st.integers(0, n - 1))) for n in values.shape]
    for backend in backends_for(values):
        with using_backend(backend):
            assert_same(tensor(values)[tuple(map(tensor, key))], values[tuple(key)])
