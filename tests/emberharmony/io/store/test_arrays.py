"""Named arrays as bytes: what safetensors reads, aligned, and states by their names."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.numpy

from emberharmony.io.store.arrays import as_safetensors, by_prefix, from_safetensors, prefixed


def test_elements_are_aligned_and_little_endian():
    arrays = {"bytes": np.arange(3, dtype=np.int8), "swapped": np.arange(3, dtype=">i4"), "longs": np.arange(2)}
    content = as_safetensors(arrays)
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    assert length % 8 == 0
    assert all(entry["data_offsets"][0] % arrays[name].itemsize == 0 for name, entry in header.items())
    np.testing.assert_array_equal(safetensors.numpy.load(content)["swapped"], [0, 1, 2])


def test_what_the_library_writes_is_read():
    arrays = {"turned": np.arange(6.0).reshape(2, 3).T, "empty": np.empty((0, 4)), "is": np.array([True, False])}
    found = from_safetensors(safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))
    assert found.keys() == arrays.keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array, arrays[name])


def test_bytes_that_end_too_early_are_no_zeros():
    with pytest.raises(OSError, match="the file ends too early"):
        from_safetensors(as_safetensors({"a": np.arange(5)})[:-1])


def test_states_are_told_apart_by_the_beginnings_of_names():
    states = {"1": {"x": np.ones(1), "y": np.ones(1)}, "10": {"x": np.zeros(1)}}
    assert set(prefixed(states)) == {"1/x", "1/y", "10/x"}
    assert {name: set(state) for name, state in by_prefix(prefixed(states)).items()} == {"1": {"x", "y"}, "10": {"x"}}
