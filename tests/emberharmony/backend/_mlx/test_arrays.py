"""MLX arrays in and out: data types, conversions without a wrong number, and what NumPy computes."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest

from emberharmony.backend import _dtypes
from emberharmony.backend._mlx import arrays


def test_each_data_type_but_one_has_one_of_mlx():
    for native, dtype in arrays.DTYPES.items():
        assert arrays.native_dtype(dtype) == arrays.native_dtype(dtype.name) == native
        assert native.size == dtype.itemsize
    with pytest.raises(TypeError, match="widest complex type is complex64"):
        arrays.native_dtype(_dtypes.complex128)


@pytest.mark.parametrize(
    "source",
    [
        np.arange(6.0, dtype=np.float32).reshape(2, 3),
        np.arange(6)[::-1],
        np.arange(3, dtype=">f4"),
        np.array(2.5, dtype=np.float32),
        np.array([2**63 + 1], dtype=np.uint64),
        np.array([1 + 2j], dtype=np.complex64),
    ],
    ids=["matrix", "reversed", "other byte order", "number", "large integer", "complex"],
)
def test_any_numpy_array_becomes_the_same_numbers(source):
    made = arrays.asarray(source)
    np.testing.assert_array_equal(arrays.to_numpy(made), source)
    assert not arrays.to_numpy(made).flags.writeable


def test_a_copy_is_made_or_refused_as_asked():
    x = mx.array([1.0, 2.0])
    assert arrays.asarray(x) is x
    assert arrays.asarray(x, copy=True) is not x
    with pytest.raises(ValueError, match="change of dtype"):
        arrays.asarray(x, dtype=mx.int8, copy=False)
    with pytest.raises(ValueError, match="mlx always copies"):
        arrays.asarray(np.zeros(2), copy=False)


def test_python_numbers_have_the_default_type_and_arrays_their_own():
    assert arrays.asarray(1.5).dtype == mx.float32
    assert arrays.asarray(3).dtype == mx.int64
    assert arrays.asarray(np.float64([1.5])).dtype == (
        mx.float64 if arrays.has_float64(arrays.default_device()) else mx.float32
    )
    with pytest.warns(UserWarning, match="has no complex128: the array becomes complex64"):
        assert arrays.asarray(np.array([1j])).dtype == mx.complex64


def test_large_integers_stay_exact_beside_an_array():
    beside = mx.zeros(1, dtype=mx.uint64)
    assert arrays.scalar(5, beside) == 5
    assert arrays.scalar(2**63 + 1, beside).item() == 2**63 + 1


def test_numpy_computes_for_mlx():
    ranked = arrays.host(lambda x, *, axis, dtype: np.argsort(x, axis=axis).astype(dtype))
    found = ranked(mx.array([[3, 1, 2]]), axis=1, dtype=mx.int32)
    assert (found.dtype, found.tolist()) == (mx.int32, [[1, 2, 0]])
    low, high = arrays.host(lambda pair: (np.min(pair[0]), np.max(pair[1])))([mx.array([4, 2]), mx.array([7])])
    assert (low.item(), high.item()) == (2, 7)


def test_devices_are_told():
    assert arrays.devices()[-1] == "cpu"
    with pytest.raises(ValueError, match="gpu and cpu, not 'tpu'"):
        arrays.full_device("tpu")
