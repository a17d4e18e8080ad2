"""The quantile sketch: exact for few distinct values, within a tenth of a percent above, whatever the chunks."""

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from emberharmony.stats import Quantiles, quantiles

numbers = st.floats(allow_nan=False, allow_infinity=False, width=64)


def same(a, b):
    return (
        (a.keys.dtype, a.halvings) == (b.keys.dtype, b.halvings)
        and np.array_equal(a.keys, b.keys)
        and np.array_equal(a.counts, b.counts)
    )


def merged(chunks):
    return reduce(Quantiles.merge, map(Quantiles.of, chunks), Quantiles.empty())


def added_up(states):
    total = quantiles.QuantileSum()
    for state in states:
        total.add(state)
    return total.state()


def rows_around(x, q):
    """The two rows of sorted `x` between which the quantile lies."""
    x, position = np.sort(x), q * (len(x) - 1)
    return x[int(position)], x[min(int(position) + 1, len(x) - 1)], position - int(position)


@given(hnp.arrays(np.float64, st.integers(1, 80), elements=st.floats(-1e9, 1e9)), st.sampled_from([0.0, 0.1, 0.5, 0.77, 1.0]))
def test_exact_for_few_values(x, q):
    assert Quantiles.of(x).quantile(q) == pytest.approx(np.quantile(x, q), rel=1e-12, abs=1e-12)


@given(
    data=st.data(),
    x=hnp.arrays(np.float64, st.integers(0, 60), elements=st.one_of(numbers, st.sampled_from([0.0, -0.0, 1.0, 2.5]))),
)
@pytest.mark.parametrize(
    ("limit", "looked_at", "buckets"), [(4, 6, 65_536), (4, 6, 16), (4, 20_000, 65_536), (16_384, 20_000, 65_536)]
)
def test_any_chunks_in_any_order_give_the_same_state(data, x, limit, looked_at, buckets):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantiles, "MAX_EXACT_VALUES", limit)
        patch.setattr(quantiles, "_LOOKED_AT", looked_at)
        patch.setattr(quantiles, "MAX_BUCKETS", buckets)
        whole = Quantiles.of(x)
        order = data.draw(st.permutations(range(len(x))))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(x)), max_size=5)))
        chunks = list(map(Quantiles.of, np.split(x[order], cuts)))
        assert same(reduce(Quantiles.merge, chunks, Quantiles.empty()), whole)
        assert same(reduce(lambda a, b: b.merge(a), chunks), whole)  # from the right
        assert same(added_up(chunks), whole)
        while len(chunks) > 1:  # as a tree
            chunks = [reduce(Quantiles.merge, chunks[i : i + 2]) for i in range(0, len(chunks), 2)]
        assert same(chunks[0], whole)
        assert whole.exact == (len(np.unique(x)) <= limit)
        assert whole.count == len(x)


@given(hnp.arrays(np.float64, st.integers(1, 60), elements=numbers), st.floats(0, 1))
def test_a_tenth_of_a_percent_above_the_limit(x, q):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantiles, "MAX_EXACT_VALUES", 0)
        low, high, weight = rows_around(x, q)
        got = Quantiles.of(x).quantile(q)
    allowed = 1e-3 * max(abs(low), abs(high)) + 1e-307  # numbers too small for a bucket of their own count as zero
    assert abs(got - ((1 - weight) * low + weight * high)) <= allowed


@pytest.mark.parametrize("draw", ["normal", "lognormal", "offset", "negative", "heavy"])
def test_large_columns(draw):
    rng = np.random.default_rng(1)
    x = {
        "normal": rng.normal(size=100_001),
        "lognormal": rng.lognormal(0, 5, 100_001),
        "offset": 1e9 + rng.normal(size=100_001),
        "negative": -rng.lognormal(3, 2, 100_001),
        "heavy": rng.standard_cauchy(100_001),
    }[draw]
    state = merged(np.array_split(x, 13))
    assert not state.exact
    for q in (0.001, 0.25, 0.5, 0.9, 0.999):
        expected = np.quantile(x, q)
        assert state.quantile(q) == pytest.approx(expected, rel=1e-3), q
    assert same(state, merged(np.array_split(x[::-1], 4)))
    assert same(state, added_up(map(Quantiles.of, np.array_split(x[::-1], 4))))
    assert same(state, Quantiles._sorted(x))  # whether buckets are counted as rows come, or of sorted rows


@pytest.mark.parametrize("draw", ["integers", "prices", "zeros of both signs", "extremes", "one value", "few at first"])
def test_large_columns_of_few_values(draw):
    rng = np.random.default_rng(1)
    x = {
        "integers": rng.poisson(30, 50_001).astype(float),
        "prices": np.float64(rng.integers(100, 2_000, 50_001).astype(np.float32) / np.float32(100)),
        "zeros of both signs": rng.choice([0.0, -0.0, 1.5], 50_001),
        "extremes": rng.choice([-1.7e308, -5e-324, 5e-324, 1.7e308], 50_001),
        "one value": np.full(50_001, 7.0),
        "few at first": np.concatenate([np.ones(20_001), np.arange(15_000.0, 0.0, -1.0)]),
    }[draw]
    state, (values, counts) = Quantiles.of(x), np.unique(x, return_counts=True)
    np.testing.assert_array_equal(state.keys, values)
    np.testing.assert_array_equal(state.counts, counts)
    assert not np.signbit(state.keys[state.keys == 0]).any()
    assert same(state, Quantiles._sorted(x))
    assert same(state, merged(np.array_split(x[::-1], 7)))


def test_numbers_of_every_size_stay_within_a_megabyte():
    """Each of 4 million buckets could be filled; so many powers of two cost digits."""
    x = np.random.default_rng(0).integers(0, 2**63 - 2**52, 400_000).view(np.float64)
    x = np.where(np.arange(len(x)) % 2, x, -x)
    state = merged(np.array_split(x, 5))
    assert same(state, added_up(map(Quantiles.of, np.array_split(x, 5))))
    assert len(state.keys) <= quantiles.MAX_BUCKETS
    assert state.count == len(x)
    for q in (0.01, 0.25, 0.75, 0.99):
        assert state.quantile(q) == pytest.approx(np.quantile(x, q), rel=2.0**-10 * 2**state.halvings)


def test_the_limit_itself():
    x = np.arange(quantiles.MAX_EXACT_VALUES, dtype=np.float64)
    assert Quantiles.of(np.concatenate([x, x])).exact
    assert not Quantiles.of(np.concatenate([x, [0.5]])).exact
    assert not Quantiles.of(x).merge(Quantiles.of(np.array([-1.0]))).exact


def test_the_ends_of_float64():
    big = np.finfo(np.float64).max
    assert Quantiles.of(np.array([-big, big])).median() == 0.0
    assert Quantiles.of(np.array([big, big])).median() == big
    assert Quantiles.of(np.array([0.0, -0.0, 0.0])).counts.tolist() == [3]


def test_what_has_no_quantile():
    with pytest.raises(ValueError, match="No row was seen"):
        Quantiles.empty().median()
    with pytest.raises(ValueError, match=r"between 0 and 1, got 1\.5"):
        Quantiles.of(np.ones(1)).quantile(1.5)


@pytest.mark.parametrize("n", [0, 3, 20_000])
def test_survives_its_codec(n):
    state = Quantiles.of(np.random.default_rng(0).normal(size=n))
    assert same(Quantiles.from_arrays(state.to_arrays()), state)


@pytest.mark.parametrize("count", [1, 255, 256, 65_536, 2**32, 2**62])
def test_its_codec_keeps_every_count(count):
    ends = np.array([-np.finfo(np.float64).max, -5e-324, 5e-324, np.finfo(np.float64).max])
    keys = quantiles._counted_in_buckets(ends)[0]
    state = Quantiles(keys, np.full(len(keys), count))
    assert same(Quantiles.from_arrays(state.to_arrays()), state)


def test_its_codec_writes_six_bytes_a_bucket_at_most_for_small_counts():
    state = Quantiles.of(np.random.default_rng(0).normal(size=20_000))
    assert sum(array.nbytes for array in state.to_arrays().values()) <= 6 * len(state.keys) + 8
