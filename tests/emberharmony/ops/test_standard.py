"""The namespace has the standard's names and signatures, and its objects behave as the standard says."""

from __future__ import annotations

import copy
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
from emberharmony.backend import select
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


def test_attributes(backend):
    x = ops.asarray([[1.0, 2.0, 3.0]], dtype=ops.float32)
    assert (x.shape, x.ndim, x.size, x.nbytes, x.device, x.backend) == ((1, 3), 2, 3, 12, select().device, backend)
    assert x.T.shape == x.mT.shape == (3, 1)
    assert x.dtype == ops.float32
    assert {x.dtype: 1}[ops.float32] == 1
    assert repr(x) == f"Tensor([[1., 2., 3.]], backend='{backend}', device='{x.device}', dtype=float32, shape=(1, 3))"
    assert len(x) == 1
    with pytest.raises(ValueError, match=r"x\.T"):
        _ = x[0].T
    with pytest.raises(TypeError, match="len"):
        len(ops.asarray(1))


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


def test_conversion_to_python(backend):
    assert int(ops.asarray(3)) == 3
    assert [10, 20, 30][ops.asarray(1)] == 20
    assert float(ops.asarray(2.5)) == 2.5
    assert complex(ops.asarray(2.5)) == 2.5
    assert bool(ops.asarray([1])[0])
    for convert in (int, float, bool):
        with pytest.raises(TypeError, match="without axes"):
            convert(ops.asarray([1, 2]))
    with pytest.raises(TypeError, match="integer"):
        [1, 2][ops.asarray(1.0)]


def test_numpy_is_a_read_only_view(backend):
    x = ops.asarray(np.arange(6.0).reshape(2, 3))
    a = x.numpy()
    assert not a.flags.writeable
    assert np.shares_memory(a, x.numpy()) == (x.device == "cpu")
    with pytest.raises(ValueError, match="read-only"):
        a[0] = 1
    b = np.array(x)
    assert b.flags.writeable
    assert np.asarray(x, dtype=np.float32).dtype == np.float32


def test_source_is_not_written_to_through_a_read_only_array(backend):
    source = np.arange(3.0)
    source.flags.writeable = False
    x = ops.asarray(source)
    if backend == "numpy":
        with pytest.raises(ValueError, match="read-only"):
            x[0] = 5
    else:
        x[0] = 5
    assert source[0] == 0


def test_copy_semantics(backend):
    x = ops.asarray([1.0, 2.0])
    y = ops.asarray(x, copy=True)
    y[0] = 9
    assert x.tolist() == [1.0, 2.0]
    ops.asarray(x, copy=False)
    with pytest.raises(ValueError, match="copy"):
        ops.asarray([1.0, 2.0], copy=False)
    with pytest.raises(ValueError, match="copy"):
        ops.asarray(x, dtype=ops.int8, copy=False)
    z = ops.astype(x, x.dtype, copy=True)
    z[0] = 9
    assert x.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("shape", [(), (2,), (2, 2)])
def test_what_is_not_copied_is_shared(backend, shape):
    x = ops.zeros(shape, dtype=ops.float32)
    shared = [ops.asarray(x, copy=False), ops.astype(x, ops.float32, copy=False), ops.from_dlpack(x, copy=False)]
    copied = [
        ops.asarray(x, copy=True),
        ops.astype(x, ops.float32),
        ops.from_dlpack(x, copy=True),
        ops.reshape(x, shape, copy=True),
    ]
    for key, value in ((..., 1.0), (ops.ones(shape, dtype=ops.bool), 2.0)):
        x[key] = value
        assert all((y.numpy() == value).all() for y in shared)
        assert all((y.numpy() == 0).all() for y in copied)


def test_dlpack(backend):
    x = ops.asarray([1.0, 2.0], dtype=ops.float32)
    if x.device == "cpu":
        assert np.from_dlpack(x).tolist() == [1.0, 2.0]
        assert x.__dlpack_device__() == (1, 0)
    else:
        with pytest.raises(BufferError):
            np.from_dlpack(x)
    assert ops.from_dlpack(x).backend == backend
    assert ops.from_dlpack(np.asarray([1.0])).backend == "numpy"
    y = ops.from_dlpack(x, copy=True)
    y[0] = 9
    assert x.tolist() == [1.0, 2.0]
    assert x.to_device("cpu").tolist() == x.tolist()


def test_pickle_and_copy(backend):
    x = ops.asarray([[1, 2]])
    for y in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x)):
        assert (y.backend, y.dtype, y.tolist()) == (backend, ops.int64, [[1, 2]])


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


def test_array_api_version(backend):
    x = ops.asarray([1.0])
    assert x.__array_namespace__(api_version="2025.12") is ops is x.__array_namespace__(api_version="2024.12")
    with pytest.raises(ValueError, match="2030"):
        x.__array_namespace__(api_version="2030.12")
    assert backend == select().xp.NAME


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
