"""Counts of rows by key, against `collections.Counter`."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from functools import reduce
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.stats.key_counts import KeyCounts

KEYS = st.lists(
    st.one_of(st.integers(-20, 20), st.integers(-(2**63), 2**63 - 1), st.sampled_from([-(2**63), 2**63 - 1])), max_size=60
)


def array(values):
    return np.array(values, np.int64)


@given(KEYS)
def test_single_keys_are_counted_on_their_own(keys):
    counts = KeyCounts.of(array(keys))
    assert counts.is_exact
    assert list(counts.ranges()) == [(key, key + 1, n) for key, n in sorted(Counter(keys).items())]


@given(KEYS, st.integers(2, 9))
def test_ranges_widen_until_there_are_few(keys, most):
    counts = KeyCounts.of(array(keys), most=most)
    found = list(counts.ranges())
    assert len(found) <= most
    assert all(start % 2**counts.shift == 0 and stop - start == 2**counts.shift for start, stop, _ in found)
    assert found == [
        (start * 2**counts.shift, (start + 1) * 2**counts.shift, n)
        for start, n in sorted(Counter(key // 2**counts.shift for key in keys).items())
    ]
    if counts.shift:
        assert len({key // 2 ** (counts.shift - 1) for key in keys}) > most, "wider than necessary"


@given(KEYS, st.lists(st.integers(0, 60), max_size=5), st.integers(2, 9), st.randoms())
def test_any_cutting_and_any_order_of_merging_give_the_same(keys, cuts, most, random):
    ends = [0, *sorted(min(cut, len(keys)) for cut in cuts), len(keys)]
    parts = [KeyCounts.of(array(keys[begin:end]), most=most) for begin, end in pairwise(ends)]
    random.shuffle(parts)
    merged, whole = reduce(KeyCounts.merge, parts), KeyCounts.of(array(keys), most=most)
    assert list(merged.ranges()) == list(whole.ranges())
    assert (merged.shift, merged.most, merged.keys.dtype, merged.counts.dtype) == (whole.shift, most, np.int64, np.int64)


@pytest.mark.parametrize("first", [0, 1], ids=["keys that are known", "new keys"])
def test_few_keys_are_added_to_many_in_the_memory_of_the_result(first):
    many = KeyCounts.of(np.arange(2**18, dtype=np.int64) * 2, most=2**19)
    few = KeyCounts.of(np.arange(first, 4_000, 2), most=2**19)
    tracemalloc.start()
    try:
        merged = many.merge(few)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.2 * (merged.keys.nbytes + merged.counts.nbytes)


def test_the_fewest_ranges():
    """Negative keys are never in one range with others."""
    counts = KeyCounts.of(np.array([-(2**63), -5, 3, 2**63 - 1]), most=2)
    assert list(counts.ranges()) == [(-(2**63), 0, 2), (0, 2**63, 2)]
    with pytest.raises(ValueError, match="two ranges or more, got most=1"):
        KeyCounts.of(np.array([-1, 0]), most=1)
