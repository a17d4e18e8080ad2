"""Moments against exact rational arithmetic, on the families that break the usual formulae."""

from fractions import Fraction
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from emberharmony.stats import Moments
from emberharmony.threads import limit_compute_threads

values = st.floats(-1e6, 1e6, width=64)


def exact_variance(x):
    numbers = [Fraction(float(v)) for v in x]
    mean = sum(numbers) / len(numbers)
    return float(mean), float(sum((v - mean) ** 2 for v in numbers) / len(numbers))


def merged(chunks):
    return reduce(Moments.merge, map(Moments.of, chunks), Moments.empty())


@given(hnp.arrays(np.float64, st.integers(1, 60), elements=values), st.lists(st.integers(0, 60), max_size=6))
def test_any_chunking_gives_the_same_moments(x, cuts):
    x.flags.writeable = False
    state = merged(np.split(x, sorted(min(cut, len(x)) for cut in cuts)))
    mean, variance = exact_variance(x)
    scale = max(np.abs(x).max(), 1.0)
    assert state.count == len(x)
    assert state.mean == pytest.approx(mean, rel=1e-13, abs=1e-13 * scale)
    assert state.variance == pytest.approx(variance, rel=1e-11, abs=1e-13 * scale**2)
    assert (state.minimum, state.maximum) == (x.min(), x.max())


@pytest.mark.parametrize("offset", [1e9, -1e12])
@pytest.mark.parametrize("n_chunks", [1, 2, 7, 1000])
def test_a_huge_offset_costs_no_digits(offset, n_chunks):
    x = offset + np.random.default_rng(0).normal(scale=1e-2, size=2000)
    state = merged(np.array_split(x, n_chunks))
    _, variance = exact_variance(x)
    # The mean of a chunk is right to eps * offset, which enters once; in raw sums of squares offset / spread enters twice.
    assert state.variance == pytest.approx(variance, rel=np.finfo(float).eps * abs(offset) / 1e-2)


def test_chunks_far_apart():
    state = Moments.of(np.array([1e9, 1e9 + 1])).merge(Moments.of(np.array([-1e9, -1e9 - 1])))
    assert state.mean == 0
    assert state.variance == pytest.approx((1e18 + (1e9 + 1) ** 2) / 2, rel=1e-15)


@pytest.mark.parametrize("value", [0.0, -3.5, 1e150, 5e-324])
def test_constants(value):
    state = merged(np.array_split(np.full(101, value), 3))
    assert state.mean == pytest.approx(value, rel=1e-15)
    assert state.variance == pytest.approx(0, abs=(1e-15 * value) ** 2)
    assert state.is_constant


def test_one_row_and_none():
    one = Moments.of(np.array([4.0]))
    assert (one.count, one.mean, one.variance, one.is_constant) == (1, 4.0, 0.0, True)
    none = Moments.of(np.empty(0))
    assert none == Moments.empty()
    assert none.variance == 0.0
    assert none.is_constant
    assert one.merge(none) == one == none.merge(one)
    assert none.merge(none) == none


def test_almost_constant_is_not_constant():
    assert not Moments.of(np.array([1e9, np.nextafter(1e9, 2e9)])).is_constant


@given(hnp.arrays(np.float64, st.integers(0, 9), elements=values))
def test_survives_its_codec(x):
    state = Moments.of(x)
    assert Moments.from_arrays(state.to_arrays()) == state


def test_threads_change_no_last_bit():
    """BLAS would share out a product of 100,000 values among its threads."""
    x = np.random.default_rng(0).normal(1e3, 5.0, 100_000)
    states = []
    for n_threads in (1, 2, 3):
        with limit_compute_threads(n_threads):
            states.append(Moments.of(x))
    assert states[0] == states[1] == states[2]
