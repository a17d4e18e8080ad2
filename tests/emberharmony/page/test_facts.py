"""Samples of a run are joined in order, and survive their files."""

from __future__ import annotations

import numpy as np

from emberharmony.page.facts import Sample

FIRST = Sample(np.array([0, 1]), np.array([5.0, np.nan]), np.array([[1.0, 2.0]]))


def test_samples_are_joined_in_order():
    joined = Sample.joined([FIRST, Sample(np.array([2]), np.array([7.0]), np.array([[3.0]]))])
    assert (joined.n, joined.splits.tolist(), joined.values.tolist()) == (3, [0, 1, 2], [[1.0, 2.0, 3.0]])
    assert Sample.joined([]) is None


def test_a_sample_survives_its_file():
    again = Sample.from_arrays(FIRST.to_arrays())
    np.testing.assert_array_equal(again.times, FIRST.times)
    np.testing.assert_array_equal(again.values, FIRST.values)
