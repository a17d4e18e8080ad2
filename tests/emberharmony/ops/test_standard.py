"""The namespace has the standard's names and signatures, and its objects behave as the standard says."""

from __future__ import annotations

import inspect
import pickle
import types
import warnings

import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.array_api import make_strategies_namespace

from emberharmony import ops
from emberharmony.ops import Tensor

OWN_OF_STRICT = {
    "set_array_api_strict_flags", "get_array_api_strict_flags", "reset_array_api_strict_flags", "ArrayAPIStrictFlags",
    "Device", "__version__",
}  # fmt: skip
# Names and signatures of the standard, with what array-api-strict says in a way of its own.
NAMES = [name for name in strict.__all__ if name not in OWN_OF_STRICT]


@pytest.mark.parametrize("name", NAMES)
def test_name_is_there(name):
    assert hasattr(ops, name)
    assert name in ops.__all__


def functions():
    for space in ("", "linalg", "fft"):
        module = getattr(strict, space) if space else strict
        for name in module.__all__:
            if name not in OWN_OF_STRICT and isinstance(getattr(module, name), types.FunctionType):
                yield f"{space}.{name}".lstrip(".")


def shape_of(function):
    return [(p.name, p.kind) for p in inspect.signature(function).parameters.values()]


def defaults_of(function):
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.name not in ("copy", "device")}  # strict marks "not given"


@pytest.mark.parametrize("name", sorted(functions()))
def test_signature(name):
    ours, theirs = ops, strict
    for part in name.split("."):
        ours, theirs = getattr(ours, part), getattr(theirs, part)
    assert shape_of(ours) == shape_of(theirs)
    assert defaults_of(ours) == defaults_of(theirs)
    assert ours.__doc__


METHODS = [
    name
    for name, member in vars(type(strict.ones(1))).items()
    if name.startswith("__") and callable(member) and name not in ("__new__", "__hash__", "__buffer__", "__array_interface__")
]  # fmt: skip


@pytest.mark.parametrize("name", sorted(METHODS))
def test_method_is_there(name):
    assert callable(getattr(Tensor, name))


def test_all_is_true():
    assert sorted(ops.__all__) == sorted(set(ops.__all__))
    for name in ops.__all__:
        assert hasattr(ops, name)


def test_one_dtype_object_for_all_backends(backend):
    for dtype in ops.__array_namespace_info__().dtypes().values():
        x = ops.zeros(2, dtype=dtype)
        assert x.dtype is dtype is getattr(ops, dtype.name)
        assert np.zeros(1, dtype=dtype).dtype == dtype.dtype
        assert pickle.loads(pickle.dumps(dtype)) is dtype
        assert ops.zeros(2, dtype=dtype.name).dtype is dtype


def test_namespace_info(backend):
    info = ops.__array_namespace_info__()
    assert info.default_device() in info.devices()
    assert info.capabilities()["boolean indexing"] is True
    assert set(info.default_dtypes()) == {"real floating", "complex floating", "integral", "indexing"}
    assert info.default_dtypes()["real floating"] is ops.asarray(1.0).dtype is ops.zeros(1).dtype
    assert info.default_dtypes()["integral"] is ops.asarray(1).dtype is ops.arange(3).dtype
    assert set(info.dtypes(kind="bool")) == {"bool"}
    assert set(info.dtypes(kind=("bool", "real floating"))) == {"bool", "float32", "float64"}


def test_cross_of_other_than_three(backend):
    with pytest.raises(ValueError, match="3 elements"):
        ops.linalg.cross(ops.ones((2, 2)), ops.ones((2, 2)))


def test_isin_inverted(backend):
    x = ops.asarray([0, 1, 2])
    assert ops.isin(x, ops.asarray([1]), invert=True).tolist() == [True, False, True]


def test_hypothesis_draws_tensors(backend):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        xps = make_strategies_namespace(ops, api_version="2025.12")
    dtypes = st.sampled_from(list(ops.__array_namespace_info__().dtypes().values()))

    @given(data=st.data(), dtype=dtypes)
    def law(data, dtype):
        x = data.draw(xps.arrays(dtype, xps.array_shapes(min_dims=0, min_side=0)))
        assert (x.backend, x.dtype) == (backend, dtype)
        key = data.draw(xps.indices(x.shape, allow_newaxis=True))
        np.testing.assert_array_equal(x[key].numpy(), x.numpy()[key])

    law()


def test_users_names(backend):
    x = ops.convert_to_tensor([1.0, 2.0])
    assert ops.vstack([x, x]).shape == (2, 2)
    assert ops.hstack([x, x]).shape == (4,)
    assert x.sum(axis=0).item() == 3
    assert ops.abs(-x).sum(axis=0).item() == 3
    assert [f(x).item() for f in (ops.mean, ops.min, ops.max)] == [1.5, 1.0, 2.0]


def test_the_users_example(backend):
    import pandas as pd

    df = pd.DataFrame({"hour": np.arange(24)})
    wave = ops.sin(2 * ops.pi * ops.convert_to_tensor(df["hour"] / 23.0)).numpy()
    np.testing.assert_allclose(wave, np.sin(2 * np.pi * df["hour"].to_numpy() / 23.0), atol=1e-5)
    wave = ops.cos(2 * ops.pi * ops.convert_to_tensor(df["hour"]) / 23.0).numpy()
    np.testing.assert_allclose(wave, np.cos(2 * np.pi * df["hour"].to_numpy() / 23.0), atol=1e-5)
