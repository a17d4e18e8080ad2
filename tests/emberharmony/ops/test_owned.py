"""What a tensor owns: its attributes, and its conversions to NumPy, Python and other libraries."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from emberharmony import ops
from emberharmony.backend import select


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


def test_array_api_version(backend):
    x = ops.asarray([1.0])
    assert x.__array_namespace__(api_version="2025.12") is ops is x.__array_namespace__(api_version="2024.12")
    with pytest.raises(ValueError, match="2030"):
        x.__array_namespace__(api_version="2030.12")
    assert backend == select().xp.NAME
