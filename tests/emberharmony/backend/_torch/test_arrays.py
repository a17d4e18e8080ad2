"""torch tensors in and out: data types, what is shared, and what NumPy computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emberharmony.backend import _dtypes
from emberharmony.backend._torch import arrays


def test_each_data_type_has_one_of_torch():
    for native, dtype in arrays.DTYPES.items():
        assert arrays.native_dtype(dtype) is arrays.native_dtype(dtype.name) is native
        assert torch.zeros(1, dtype=native).element_size() == dtype.itemsize
    assert len(arrays.DTYPES) == len(_dtypes.ALL)


@pytest.mark.parametrize(
    "source",
    [np.arange(6.0).reshape(2, 3), np.arange(6)[::-1], np.arange(3, dtype=">f8"), np.array(2.5), np.array([True, False])],
    ids=["matrix", "reversed", "other byte order", "number", "booleans"],
)
def test_any_numpy_array_becomes_the_same_numbers(source):
    made = arrays.asarray(source)
    np.testing.assert_array_equal(arrays.to_numpy(made), source)
    assert not arrays.to_numpy(made).flags.writeable


def test_memory_is_shared_where_it_can_be():
    source = np.zeros(3)
    shared = arrays.asarray(source, copy=False)
    source[1] = 5
    assert shared.tolist() == [0, 5, 0]
    for what in (source[::-1], np.frombuffer(bytes(8))):
        with pytest.raises(ValueError, match="read-only or reversed"):
            arrays.asarray(what, copy=False)
    with pytest.raises(ValueError, match="needs a copy"):
        arrays.asarray(shared, dtype=torch.float32, copy=False)


def test_views_of_tensors_become_numpy_arrays():
    x = torch.tensor([1 + 2j, 3 - 1j])
    np.testing.assert_array_equal(arrays.to_numpy(x.conj()), [1 - 2j, 3 + 1j])
    weights = torch.nn.Parameter(torch.ones(2))
    assert type(arrays.plain(weights)) is torch.Tensor
    np.testing.assert_array_equal(arrays.to_numpy(weights), [1, 1])
    with pytest.raises(TypeError, match="to_dense"):
        arrays.plain(torch.eye(2).to_sparse())


def test_half_precision_is_widened_exactly():
    for half in (torch.float16, torch.bfloat16):
        x = torch.tensor([1.5, -0.25], dtype=half)
        assert arrays.widened(x).dtype is torch.float32
        assert arrays.widened(x).tolist() == x.tolist()
    assert arrays.widened(torch.ones(1, dtype=torch.int64)).dtype is torch.int64


def test_numpy_computes_for_torch():
    ranked = arrays.host(lambda x, *, axis, dtype: np.argsort(x, axis=axis).astype(dtype))
    found = ranked(torch.tensor([[3, 1, 2]]), axis=1, dtype=torch.int32)
    assert (found.dtype, found.tolist()) == (torch.int32, [[1, 2, 0]])
    low, high = arrays.host(lambda pair: (min(pair[0]), max(pair[1])))([torch.tensor([4, 2]), torch.tensor([7])])
    assert (low.item(), high.item()) == (2, 7)


def test_devices_are_named_in_full():
    assert arrays.devices()[-1] == "cpu"
    assert arrays.full_device("cuda") == "cuda:0"
    with pytest.raises(ValueError, match="warp"):
        arrays.full_device("warp")
