"""Categories: their codes, one-hot features and names."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.errors import ValueRefusedError
from emberharmony.features.drift import drift_verdict
from emberharmony.features.kinds.categorical import Categorical, codes, deduplicated, feature_names, one_hot, strings
from emberharmony.features.specs import CategorySpec, FeatureSpecs, NumberSpec
from emberharmony.stats.categories import TopCategories
from tests.kinds import assert_any_chunking_counts_the_same, chunked, learnt, moved, psi, survives_json

CATEGORICAL = Categorical()
RED = chunked(["red"] * 60 + ["blue"] * 30 + ["green"] * 10, pa.string())
TWO = FeatureSpecs(categories=CategorySpec(2))


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
        (pa.array([Decimal("1.50")], pa.decimal128(5, 2)), ["1.5"]),
        (pa.array([7, None, 3]).dictionary_encode(), ["7", None, "3"]),
        (pa.array(["é".encode(), None, b"a"]), ["é", None, "a"]),
        (pa.array([b"ab", None], pa.binary(2)), ["ab", None]),
        (pa.array([b"ab", None], pa.binary_view()), ["ab", None]),
        (pa.array([b"ab", None]).dictionary_encode(), ["ab", None]),
        (pa.array([1_500, None, 60_000], pa.duration("ms")), ["1.5", None, "60"]),
    ],
    ids=str,
)
def test_forced_categories_of_numbers_and_booleans(column, expected):
    assert strings(column).to_pylist() == expected
    assert strings(pa.chunked_array([column])).to_pylist() == expected


@pytest.mark.parametrize("type_", [pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(3)], ids=str)
def test_bytes_that_are_no_text(type_):
    with pytest.raises(ValueRefusedError, match=r"holds b'ab\\xff', which is not UTF-8 text"):
        strings(pa.array([b"abc", None, b"ab\xff"], type_))


NUMBERS = [
    ("0", [0, 0.0, -0.0, Decimal("0.00"), Decimal("0E-8")]),
    ("1", [1, 1.0, Decimal("1.000")]),
    ("-3", [-3, -3.0, Decimal("-3.0")]),
    ("100", [100, 100.0, Decimal("100")]),
    ("0.5", [0.5, Decimal("0.50")]),
    ("-12345678901", [-12_345_678_901, -12_345_678_901.0, Decimal("-12345678901.00")]),
    ("9007199254740993", [2**53 + 1, Decimal(2**53 + 1)]),
    ("4611686018427387904", [2**62, 2.0**62]),
    ("0.00000015", [Decimal("0.00000015"), Decimal("0.000000150")]),
]


@pytest.mark.parametrize(("text", "values"), NUMBERS, ids=[text for text, _ in NUMBERS])
def test_equal_numbers_have_one_text(text, values):
    """Or rows of one customer would be in two splits, and a state would not know the categories of a frame with nulls."""
    for value in values:
        types = {int: [pa.int64()], float: [pa.float64()], Decimal: [pa.decimal128(38, 12), pa.decimal256(60, 15)]}[
            type(value)
        ]
        types += [pa.float16(), pa.float32()] if isinstance(value, float) and abs(value) <= 100 else []
        types += [pa.decimal64(18, 9)] if isinstance(value, Decimal) and abs(value) < 10**8 and text != "0.00000015" else []
        for type_ in types:
            assert strings(pa.array([value, None], type_)).to_pylist() == [text, None], type_
            assert strings(pa.chunked_array([pa.array([value], type_)] * 2)).to_pylist() == [text] * 2


@given(st.lists(st.floats(), max_size=20))
def test_floats_have_one_text_each(values):
    texts = strings(pa.array(values, pa.float64())).to_pylist()
    for value, text in zip(values, texts, strict=True):
        assert (text is None) == (value != value)
        assert text is None or float(text) == value
    assert len(set(texts) - {None}) == len({value for value in values if value == value})


def test_times_of_a_zone_that_is_unknown_here():
    column = pa.array([0], pa.timestamp("s", "Mars/Olympus"))
    assert strings(column).to_pylist() == ["1970-01-01 00:00:00Z"]


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
    got = deduplicated(names, set(taken))
    assert len(set(got)) == len(got) == len(names)
    assert not set(got) & taken
    assert all(g.startswith(n) for g, n in zip(got, names, strict=True))
    for name in set(names) - taken:  # the first of equal names keeps it, unless an earlier number was that very name
        assert name in got


def test_the_most_frequent_values_have_a_feature_each():
    fitted, _ = learnt(CATEGORICAL, RED, TWO)
    assert fitted.vocabulary == ("blue", "red")
    assert fitted.features == ("c_blue", "c_red", "c_other", "c_null")
    assert CATEGORICAL.describe(fitted) == [
        "1 where c is 'blue'",
        "1 where c is 'red'",
        "1 where c is any other value",
        "1 where c is missing",
    ]
    block = CATEGORICAL.transform(chunked(["red", None, "green", "blue"]), fitted)
    assert block.argmax(axis=0).tolist() == [1, 3, 2, 0]
    assert survives_json(fitted)
    assert not fitted.is_scaled


def test_scaled_where_the_job_scales_all(backend):
    specs = FeatureSpecs(categories=CategorySpec(2), numbers=NumberSpec("all"))
    fitted, _ = learnt(CATEGORICAL, RED, specs)
    block = CATEGORICAL.transform(RED, fitted)
    np.testing.assert_allclose(block.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(block.std(axis=1), [1, 1, 1, 0], atol=1e-6)
    assert fitted.is_scaled
    assert survives_json(fitted)


def test_width_is_at_most_the_vocabulary():
    assert CATEGORICAL.width(TWO) == 4
    assert [CATEGORICAL.width(TWO, n_distinct=n) for n in (0, 1, 2, 9)] == [2, 3, 4, 4]


def test_drift():
    now = chunked(["red"] * 20 + ["violet"] * 70 + [None] * 10, pa.string())
    fitted, baseline = learnt(CATEGORICAL, RED, TWO)
    assert baseline.counts.bins.tolist() == [30, 60, 10]
    found = CATEGORICAL.drift(baseline, CATEGORICAL.count(now, fitted, baseline))
    assert found["other_share"] == pytest.approx(0.7)
    assert found["other_share_change"] == pytest.approx(0.6)
    assert found["null_share"] == pytest.approx(0.1)
    assert found["psi"] == pytest.approx(psi([30, 60, 10, 0], [0, 20, 70, 10]))
    assert drift_verdict(found) == "drifted far"
    assert drift_verdict(moved(CATEGORICAL, RED, RED)) != "drifted far"


def test_any_chunking_counts_the_same():
    values = np.random.default_rng(2).choice(np.array(["red", "blue", "grey", None]), 999)
    assert_any_chunking_counts_the_same(CATEGORICAL, chunked(values))


def test_a_baseline_of_the_most_frequent_values_alone():
    """As BigQuery gives it: all other values are what is left of the rows."""
    values = chunked(["red"] * 60 + ["blue"] * 30 + ["green"] * 10 + [None] * 5, pa.string())
    fitted, _ = learnt(CATEGORICAL, RED, TWO)
    top = CATEGORICAL.profile(values.slice(0, 90), TWO).categories
    baseline = CATEGORICAL.baseline(CATEGORICAL.profile(values, TWO), fitted, TopCategories(top.top(2), top.n_distinct))
    assert baseline.counts.bins.tolist() == [30, 60, 10]


def test_aggregates():
    assert CATEGORICAL.aggregates("`s`", "INT64", n_quantiles=10, n_top=3)["top"] == "APPROX_TOP_COUNT(CAST(`s` AS STRING), 4)"
    assert "fractions" in CATEGORICAL.why_not_aggregated(pa.float64(), FeatureSpecs())
    assert CATEGORICAL.why_not_aggregated(pa.int64(), FeatureSpecs()) is None
