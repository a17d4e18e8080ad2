"""Random words depend on seed and position alone: every way of asking gives those of NumPy's generator."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.backend._philox import Stream, run, words_at

SEED = 12345
WORDS = np.random.Philox(key=SEED).random_raw(60_000)


@given(st.integers(0, 50), st.integers(0, 50))
def test_any_run_of_words(first, count):
    np.testing.assert_array_equal(run(SEED, first, count), WORDS[first : first + count])


@given(st.lists(st.integers(0, 59_999), max_size=60))
def test_words_at_any_places_in_any_order(places):
    places = np.array(places, np.int64)
    got = words_at(places, SEED)
    assert got.dtype == np.uint64
    np.testing.assert_array_equal(got, WORDS[places])


def test_places_of_any_shape():
    places = np.random.default_rng(0).integers(0, 60_000, (7, 3))
    np.testing.assert_array_equal(words_at(places, SEED), WORDS[places])
    np.testing.assert_array_equal(words_at(np.arange(100, 5_000), SEED), WORDS[100:5_000])


def test_wrong_places_are_refused():
    with pytest.raises(TypeError, match="must be integers, got float64"):
        words_at(np.array([1.0]), SEED)
    with pytest.raises(ValueError, match="start at 0, got -1"):
        words_at(np.array([3, -1]), SEED)


def test_a_stream_goes_on_where_it_stopped():
    stream = Stream(SEED)
    np.testing.assert_array_equal(np.concatenate([stream.words(n) for n in (3, 0, 10, 1)]), WORDS[:14])
    stream.seed(SEED)
    np.testing.assert_array_equal(stream.words(5), WORDS[:5])


def test_threads_share_a_stream_and_no_word():
    stream = Stream(SEED)
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda _: stream.words(7), range(200)))
    np.testing.assert_array_equal(np.sort(np.concatenate(taken)), np.sort(WORDS[:1400]))


@pytest.mark.parametrize("wrong", [-1, 2**128])
def test_seeds_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=f"got {wrong}"):
        Stream(wrong)
