"""Splits: by time, by number, by hash; a row's split depends on nothing else."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.splits import (
    LEFT_OUT,
    SPLITS,
    SplitSpec,
    TimeBoundaries,
    split_at_random,
    split_by_hash,
    split_by_rank,
    split_by_time,
)
from tests.references import sequential_split, temporal_split

CODES = {None: LEFT_OUT} | {name: i for i, name in enumerate(SPLITS)}
FRACTIONS = [(0.8, 0.1, 0.1), (0.5, 0.3, 0.2), (0.6, 0.2, 0.2), (0.34, 0.33, 0.33), (0.7, 0.2, 0.1)]


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=80),
    st.sampled_from(FRACTIONS),
    st.integers(0, 10),
)
def test_by_time_equals_the_reference(ticks, fractions, gap):
    ticks = np.sort(np.array(ticks))
    spec = SplitSpec(fractions=fractions)
    boundaries = TimeBoundaries(*(int(ticks[rank]) for rank in spec.ranks(len(ticks))), gap=gap)
    expected = temporal_split(pd.Series(ticks.astype("M8[s]")), fractions, timedelta(seconds=gap))
    codes = split_by_time(ticks, boundaries)
    assert codes.dtype == np.int8
    assert codes.tolist() == [CODES[name if isinstance(name, str) else None] for name in expected]


@given(st.lists(st.integers(-100, 100), max_size=50), st.integers(-50, 50), st.integers(0, 50), st.integers(0, 30))
def test_gaps_lie_before_boundaries(ticks, first, length, gap):
    boundaries = TimeBoundaries(first, first + length, gap)
    for tick, code in zip(ticks, split_by_time(np.array(ticks, np.int64), boundaries).tolist(), strict=True):
        if first - gap <= tick < first or first + length - gap <= tick < first + length:
            assert code == LEFT_OUT
        else:
            assert code == (tick >= first) + (tick >= first + length)


@given(st.integers(1, 10**12), st.sampled_from(FRACTIONS))
def test_ranks_are_whole_parts(n_rows, fractions):
    validation, test = SplitSpec(fractions=fractions).ranks(n_rows)
    hundredths = [round(100 * f) for f in fractions]
    assert validation == hundredths[0] * n_rows // 100
    assert test == (hundredths[0] + hundredths[1]) * n_rows // 100


@given(st.integers(0, 200), st.sampled_from(FRACTIONS), st.integers(0, 200))
def test_by_rank_equals_the_reference(n_rows, fractions, cut):
    """Also in pieces: a row's split depends on its rank and the number of rows."""
    expected = sequential_split(pd.DataFrame(index=range(n_rows)), fractions)
    pieces = np.split(np.arange(n_rows), [min(cut, n_rows)])
    codes = np.concatenate([split_by_rank(piece, SplitSpec(fractions=fractions), n_rows) for piece in pieces])
    assert codes.dtype == np.int8
    assert codes.tolist() == [CODES[name] for name in expected]


@given(st.permutations(range(200)), st.integers(0, 3))
def test_at_random_by_the_rows_number_alone(order, seed):
    spec = SplitSpec(method="random", seed=seed)
    whole = split_at_random(np.arange(200), spec)
    np.testing.assert_array_equal(split_at_random(np.array(order), spec), whole[list(order)])


@pytest.mark.parametrize("fractions", FRACTIONS)
def test_shares(fractions):
    spec = SplitSpec(method="random", fractions=fractions)
    for codes in (
        split_at_random(np.arange(200_000), spec),
        split_by_hash(np.random.default_rng(0).integers(0, 2**64, 200_000, np.uint64), spec),
    ):
        np.testing.assert_allclose(np.bincount(codes, minlength=3) / 200_000, fractions, atol=0.005)
        assert (codes >= 0).all()


def test_seeds_differ():
    a, b = (split_at_random(np.arange(1000), SplitSpec(method="random", seed=seed)) for seed in (0, 1))
    assert (a != b).mean() > 0.1


def test_equal_keys_stay_together():
    hashes = np.array([5, 2**63, 5, 2**64 - 1, 2**63], np.uint64)
    codes = split_by_hash(hashes, SplitSpec(method="hash", keys=("k",)))
    assert codes[0] == codes[2] == 0
    assert codes[1] == codes[4] == 0  # 2**63 / 2**64 = 0.5
    assert codes[3] == 2


def test_empty_splits_on_purpose():
    spec = SplitSpec(method="random", fractions=(0.8, 0.2, 0.0))
    assert set(split_at_random(np.arange(10_000), spec).tolist()) == {0, 1}
    top = np.array([2**64 - 1], np.uint64)
    assert split_by_hash(top, spec).tolist() == [1]
    assert split_by_hash(top, SplitSpec(method="hash", keys=("k",), fractions=(1.0, 0.0, 0.0))).tolist() == [0]


@pytest.mark.parametrize("gap", [0, 5])
def test_the_last_tick_is_in_no_split_that_is_empty_on_purpose(gap):
    """DuckDB and Postgres write infinity as the largest integer."""
    ticks = np.array([0, 10, 2**63 - 1])
    spec = SplitSpec(fractions=(0.5, 0.5, 0.0))
    boundaries = TimeBoundaries.of(spec, 3, lambda ranks: ticks[ranks].tolist(), gap)
    assert split_by_time(ticks, boundaries).tolist() == [0, 1, 1]
    boundaries = TimeBoundaries.of(SplitSpec(fractions=(1.0, 0.0, 0.0)), 3, lambda ranks: ticks[ranks].tolist(), gap)
    assert split_by_time(ticks, boundaries).tolist() == [0, 0, 0]


def test_a_gap_before_the_first_tick():
    ticks = np.array([-(2**63), 0, 1])
    assert split_by_time(ticks, TimeBoundaries(-(2**63) + 1, 1, gap=10**18)).tolist() == [LEFT_OUT, LEFT_OUT, 2]


def test_random_splits_do_not_change():
    """They are part of what was published."""
    codes = split_at_random(np.arange(30), SplitSpec(method="random", seed=7))
    assert "".join(map(str, codes.tolist())) == PUBLISHED


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"fractions": (0.8, 0.1, 0.2)}, "add up to 1.1"),
        ({"fractions": (0.0, 0.5, 0.5)}, "training has some"),
        ({"fractions": (1.2, -0.1, -0.1)}, "are not negative"),
        ({"gap": timedelta(seconds=-1)}, "not negative"),
        ({"keys": ("k",)}, "`keys` are the columns of a hash split"),
        ({"method": "random", "gap": timedelta(1)}, "but the split is random"),
        ({"method": "sequential", "gap": timedelta(1)}, "but the split is sequential"),
        ({"method": "sequential", "keys": ("k",)}, "`keys` are the columns of a hash split"),
    ],
)
def test_contradictions(spec, message):
    with pytest.raises(ValueError, match=message):
        SplitSpec(**spec)


PUBLISHED = "100000000010010000000000000200"
