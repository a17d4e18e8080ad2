"""Whole numbers beyond 2**53 against Python's own, which have every digit."""

from fractions import Fraction
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.stats.integers import Integers, differences

KINDS = {"int64": (-(2**63), 2**63 - 1), "uint64": (0, 2**64 - 1), "int8": (-128, 127)}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_moments_and_range_are_those_of_exact_numbers(kind, data):
    low, high = KINDS[kind]
    start = data.draw(st.integers(low, high))
    width = data.draw(st.sampled_from([3, 1000, 2**40, 2**64]))
    values = data.draw(st.lists(st.integers(start, min(start + width, high)), min_size=1, max_size=9))
    cut = data.draw(st.integers(1, len(values)))
    parts = [np.array(part, kind) for part in (values[:cut], values[cut:]) if part]
    whole = reduce(Integers.merge, map(Integers.of, parts))
    assert (whole.lowest, whole.highest) == (min(values), max(values))
    mean = Fraction(sum(values), len(values))
    m2 = float(sum((value - mean) ** 2 for value in values))
    assert whole.moments.mean == pytest.approx(float(mean - min(values)), rel=1e-9, abs=1e-9)
    assert whole.moments.m2 == pytest.approx(m2, rel=1e-9, abs=1e-6)
    assert Integers.from_arrays(whole.to_arrays()) == whole


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1), st.integers(-(2**63), 2**64 - 1))
def test_differences_are_rounded_once(values, origin):
    expected = [float(value - origin) for value in values]
    np.testing.assert_allclose(differences(np.array(values, np.uint64), origin), expected, rtol=1e-15)
