"""Runs of keys in adjoining pieces, against `itertools.groupby`."""

from __future__ import annotations

import tracemalloc
from functools import reduce
from itertools import groupby, pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emberharmony.stats import key_runs
from emberharmony.stats.key_runs import KeyRuns

KEYS = st.lists(st.sampled_from([-(2**62), -1, 0, 1, 2, 2**62 - 1]), max_size=12)


def array(values):
    return np.array(values, np.int64)


@example([0, 0, 1], [1])
@example([0, 1, 0], [1])
@example([0, 0, 0], [1, 2])
@example([0, 1, 1, 0], [2])
@given(KEYS, st.lists(st.integers(0, 12), max_size=5))
def test_any_cutting_finds_whether_equal_keys_are_adjacent(keys, cuts):
    ends = [0, *sorted(min(cut, len(keys)) for cut in cuts), len(keys)]
    found = reduce(KeyRuns.merge, [KeyRuns.of(array(keys[begin:end])) for begin, end in pairwise(ends)])
    runs = [key for key, _ in groupby(keys)]
    assert found.are_whole() == (len(set(runs)) == len(runs))
    assert (found.n_rows, found.n_runs) == (len(keys), len(runs))
    if keys:
        assert (found.first, found.last) == (keys[0], keys[-1])


@pytest.mark.parametrize("repeated", [0, 1, 77, 998])
def test_keys_are_compared_in_ranges(monkeypatch, repeated):
    monkeypatch.setattr(key_runs, "_COMPARED", 64)
    keys = np.random.default_rng(0).permutation(np.unique(np.random.default_rng(1).integers(-(2**62), 2**62, 1000)))
    pieces = [KeyRuns.of(np.repeat(keys[i : i + 70], 2)) for i in range(0, 1000, 70)]
    whole = reduce(KeyRuns.merge, pieces)
    assert whole.are_whole()
    assert whole.n_runs == 1000
    assert not whole.merge(KeyRuns.of(keys[repeated : repeated + 1])).are_whole()


def test_too_many_keys_to_tell():
    runs = KeyRuns.of(array([5, 1, 3]), most=4)
    assert runs.merge(KeyRuns.of(array([3, 4]), most=4)).are_whole()
    many = runs.merge(KeyRuns.of(array([4, 6]), most=4))
    assert not many.are_whole()
    assert many.keys is None
    assert (many.n_rows, many.n_runs, many.last) == (5, 5, 6)
    assert not many.merge(KeyRuns.of(array([6]), most=4)).are_whole()


def test_keys_are_compared_in_little_memory():
    rng = np.random.default_rng(0)
    runs = reduce(KeyRuns.merge, (KeyRuns.of(rng.integers(-(2**62), 2**62, 50_000)) for _ in range(20)))
    tracemalloc.start()
    try:
        assert runs.are_whole()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert runs.keys is not None
    assert peak < 0.4 * sum(keys.nbytes for keys in runs.keys)
