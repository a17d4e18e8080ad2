"""Categories: their codes, one-hot features and names."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.features.categorical import CategorySpec, codes, feature_names, one_hot, strings, told_apart


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["b", None, "a", "x"]),
        pa.array(["b", None, "a", "x"], pa.large_string()),
        pa.array(["b", None, "a", "x"], pa.string_view()),
        pa.array(["b", None, "a", "x"]).dictionary_encode(),
        pa.chunked_array([pa.array(["b", None]).dictionary_encode(), pa.array(["a", "x"]).dictionary_encode()]),
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 3], pa.int8()), pa.array(["b", None, "a", "x"])),
    ],
    ids=str,
)
def test_codes(column):
    got = codes(column, ("a", "b", "other"))
    assert got.dtype == np.int32
    assert got.tolist() == [1, 4, 0, 3]  # a value that is called "other" has a feature of its own


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1, None, -2], pa.int16()), ["1", None, "-2"]),
        (pa.array([True, False, None]), ["true", "false", None]),
        (pa.array([1.5, float("nan"), None]), ["1.5", None, None]),
        (pa.array([Decimal("1.50")], pa.decimal128(5, 2)), ["1.50"]),
    ],
    ids=str,
)
def test_forced_categories_of_numbers_and_booleans(column, expected):
    assert strings(column).to_pylist() == expected
    assert strings(pa.chunked_array([column])).to_pylist() == expected


@given(st.lists(st.integers(0, 6), max_size=50))
def test_one_hot_is_one_in_each_row(position):
    block = one_hot(np.array(position, np.int32), 7)
    assert block.dtype == np.float32
    assert block.shape == (7, len(position))
    np.testing.assert_array_equal(block, np.eye(7, dtype=np.float32)[:, position])


def test_one_hot_on_every_backend(backend):
    assert one_hot(np.array([1, 0, 1], np.int32), 2).tolist() == [[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]]


def test_names_are_sanitised():
    assert feature_names("s", ("a b", "ä", "", "9%")) == ("s_a_b", "s__", "s_", "s_9_", "s_other", "s_null")


@given(st.lists(st.sampled_from(["a", "a_2", "a_2_2", "b", "a_3"]), max_size=12), st.sets(st.sampled_from(["a", "b", "a_2"])))
def test_names_told_apart_are_each_there_once(names, taken):
    got = told_apart(names, set(taken))
    assert len(set(got)) == len(got) == len(names)
    assert not set(got) & taken
    assert all(g.startswith(n) for g, n in zip(got, names, strict=True))
    for name in set(names) - taken:  # the first of equal names keeps it, unless an earlier number was that very name
        assert name in got


def test_at_least_one_category():
    with pytest.raises(ValueError, match="max_categories is at least 1, got 0"):
        CategorySpec(0)
