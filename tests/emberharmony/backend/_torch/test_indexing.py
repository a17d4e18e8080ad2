"""Indices of torch tensors against NumPy's: negative steps, masks, and data types that torch only stores."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emberharmony.backend._torch.indexing import check_indices, getitem, setitem

GRID = np.arange(24).reshape(2, 3, 4)
PLACES = np.array([1, 0, -1])
KEYS = {
    "negative step": np.s_[::-1],
    "negative step inside": np.s_[:, ::-2, 1:],
    "negative steps and an integer": np.s_[1, ::-1, 3:0:-2],
    "nothing backwards": np.s_[:, 0:0:-1],
    "new axis": np.s_[None, ..., ::-1],
    "index array": np.s_[:, PLACES],
    "index array and negative step": np.s_[::-1, PLACES],
    "mask": np.s_[np.array([True, False])],
    "mask that is empty": np.s_[np.zeros((2, 3, 4), bool)],
    "number": np.s_[1],
}


def for_torch(key):
    if isinstance(key, tuple):
        return tuple(for_torch(k) for k in key)
    return torch.from_numpy(key) if isinstance(key, np.ndarray) else key


@pytest.mark.parametrize("dtype", ["float64", "uint16"])
@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
def test_what_is_read_is_what_numpy_reads(key, dtype):
    grid = GRID.astype(dtype)
    found = getitem(torch.from_numpy(grid), for_torch(key))
    np.testing.assert_array_equal(found.numpy(), grid[key])


@pytest.mark.parametrize("dtype", ["float64", "uint16"])
@pytest.mark.parametrize("name", [name for name in KEYS if name != "index array and negative step"])
def test_what_is_written_is_what_numpy_writes(name, dtype):
    key, expected = KEYS[name], GRID.astype(dtype)
    x = torch.from_numpy(expected.copy())
    values = 100 + np.arange(expected[key].size, dtype=dtype).reshape(expected[key].shape)
    expected[key] = values
    assert setitem(x, for_torch(key), torch.from_numpy(values)) is x
    np.testing.assert_array_equal(x.numpy(), expected)


def test_what_cannot_be_written_in_one_step_is_told():
    with pytest.raises(IndexError, match="two steps"):
        setitem(torch.zeros(2, 3), (slice(None, None, -1), torch.tensor([0])), 1.0)


def test_an_accelerator_is_asked_nothing_out_of_bounds():
    """A device that ignores such an index, or fails all later work, has no index to ignore: its indices are checked first."""

    class OnDevice(torch.Tensor):
        device = torch.device("meta")

    for wrong in (3, -4):
        with pytest.raises(IndexError, match=f"Index {wrong} is out of bounds for an axis of length 3"):
            check_indices(torch.tensor([0, wrong]).as_subclass(OnDevice), 3)
    check_indices(torch.tensor([0, 2, -3]).as_subclass(OnDevice), 3)
