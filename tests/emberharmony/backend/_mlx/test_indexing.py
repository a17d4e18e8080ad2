"""Indices of MLX arrays against NumPy's: masks, arrays of any integers, and none out of bounds, which MLX does not check."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest

from emberharmony.backend._mlx.indexing import check_indices, getitem, setitem

GRID = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
KEYS = {
    "negative steps": np.s_[::-1, ::-2, 1:],
    "new axis": np.s_[None, ..., 2],
    "index array": np.s_[:, np.array([1, 0, -1])],
    "unsigned beside signed": np.s_[np.array([1, 0], np.uint64), np.array([-1, 2])],
    "mask": np.s_[np.array([True, False])],
    "mask inside": np.s_[:, np.array([True, False, True])],
    "number": np.s_[-1],
}


def for_mlx(key):
    if isinstance(key, tuple):
        return tuple(for_mlx(k) for k in key)
    return mx.array(key) if isinstance(key, np.ndarray) else key


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
def test_what_is_read_is_what_numpy_reads(key):
    np.testing.assert_array_equal(np.array(getitem(mx.array(GRID), for_mlx(key))), GRID[key])


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
def test_what_is_written_is_what_numpy_writes(key):
    x, expected = mx.array(GRID), GRID.copy()
    values = 100 + np.arange(GRID[key].size, dtype=np.float32).reshape(GRID[key].shape)
    expected[key] = values
    np.testing.assert_array_equal(np.array(setitem(x, for_mlx(key), mx.array(values))), expected)


def test_large_integers_are_written_exactly():
    x = mx.zeros(2, dtype=mx.int64)
    assert setitem(x, 1, 2**53 + 1).tolist() == [0, 2**53 + 1]


@pytest.mark.parametrize("key", [2, (0, 3), (0, 0, 4), (0, 0, 0, 0), (..., -5)], ids=str)
def test_indices_out_of_bounds_are_refused(key):
    x = mx.array(GRID)
    for touch in (lambda: getitem(x, key), lambda: setitem(x, key, 1.0)):
        with pytest.raises(IndexError):
            touch()


def test_arrays_of_indices_out_of_bounds_are_refused():
    x = mx.array(GRID)
    for key in ((slice(None), mx.array([0, 3])), (..., mx.array([-5])), (None, mx.array([2])), (0, 0, mx.array([0]), 0)):
        with pytest.raises(IndexError):
            getitem(x, key)
    with pytest.raises(IndexError, match="Index -4 is out of bounds for an axis of length 3"):
        check_indices(mx.array([0, -4]), 3)
