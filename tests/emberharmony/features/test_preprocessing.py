"""The fitted features of a table: which columns, in which order, by which numbers."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.preprocessing import StandardScaler

from emberharmony.errors import DataError
from emberharmony.features.columns import ColumnSpec, assign_roles
from emberharmony.features.kinds.registry import KINDS
from emberharmony.features.preprocessing import Preprocessing, datetime_features, encode, fit_preprocessing
from emberharmony.features.specs import CategorySpec, CyclicalSpec, FeatureSpecs, NumberSpec
from emberharmony.stats.categories import TopCategories
from tests.kinds import as_version_2
from tests.references import reference_job


def fit(table, *, columns=None, scale="numeric", cycles=None, max_categories=100, threshold=0.9):
    roles = assign_roles(table.schema, columns or ColumnSpec())
    specs = FeatureSpecs(cycles or CyclicalSpec(), CategorySpec(max_categories), NumberSpec(scale))
    profiles = {c.name: KINDS[c.kind].profile(table[c.name], specs) for c in roles.features}
    counts = {name: profile.categories for name, profile in profiles.items()}
    categories = {name: TopCategories(state.top(max_categories), state.n_distinct) for name, state in counts.items()}
    return fit_preprocessing(roles, profiles, categories, specs, high_null_threshold=threshold)


def encoded(table, fitted):
    return encode(table, datetime_features(table, fitted), fitted)


def random_table(n=400, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.lognormal(size=n)
    x[rng.random(n) < 0.1] = np.nan
    hours = np.datetime64("1969-06-01") + rng.integers(0, 9000, n).astype("timedelta64[h]")
    return pa.table(
        {
            "x": pa.array(x),
            "k": pa.array(rng.integers(0, 4, n), mask=rng.random(n) < 0.2),
            "flag": pa.array(rng.random(n) < 0.7, mask=rng.random(n) < 0.1),
            "s": pa.array(rng.choice(["p", "q", "r", "q q", "q-q"], n), mask=rng.random(n) < 0.1),
            "t": pa.array(hours.astype("M8[s]"), mask=rng.random(n) < 0.1),
            "all_true": pa.array(np.ones(n, bool)),
        }
    )


@pytest.mark.parametrize("scale", ["numeric", "all"])
@pytest.mark.parametrize("cycle", ["inclusive", "calendar"])
@pytest.mark.parametrize("max_categories", [2, 100])
def test_equals_the_reference(backend, scale, cycle, max_categories):
    table = random_table()
    spec = ColumnSpec(categorical=("k",))
    fitted = fit(table, columns=spec, scale=scale, cycles=CyclicalSpec(cycle), max_categories=max_categories)
    frame = table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}.get)
    expected = reference_job(
        frame,
        forced_categorical=["k"],
        scale=scale,
        cycle=cycle,
        max_categories=max_categories,
        split=["train"] * len(table),
        size=1,
        strides=[1],
        components=1,
    )
    assert list(fitted.feature_names) == expected.feature_names
    block = encoded(table, fitted)
    assert block.flags.c_contiguous
    assert block.dtype == np.float32
    np.testing.assert_allclose(block.T, expected.features["train"][expected.feature_names], rtol=1e-6, atol=1e-6)


def test_scaling_all_gives_mean_0_and_deviation_1():
    table = random_table()
    block = encoded(table, fit(table, scale="all"))
    deviation = block.std(axis=1)
    np.testing.assert_allclose(block.mean(axis=1), 0, atol=1e-5)
    assert np.all(np.isclose(deviation, 1, atol=1e-5) | (deviation == 0))
    assert (deviation == 0).sum() == 2  # all_true, and s_other, which nothing falls into


def test_unseen_values_and_nulls_fall_into_their_features():
    fitted = fit(pa.table({"s": ["a", "b", "a", None]}), max_categories=1)
    assert fitted.feature_names == ("s_a", "s_other", "s_null")
    later = encoded(pa.table({"s": pa.array(["new", "a", None, "b", ""])}), fitted)
    assert later.argmax(axis=0).tolist() == [1, 0, 2, 1, 1]
    assert later.sum(axis=0).tolist() == [1.0] * 5


def test_names_that_collide():
    table = pa.table(
        {
            "s_a_b": [1.0, 2.0, 3.0],
            "s": ["a b", "a-b", "a_b"],
            "s_a_b_2": [3.0, 1.0, 2.0],
            "s_other": [1.0, 5.0, 1.0],
            "split": [3.0, 0.0, 1.0],
            "y": [0, 1, 0],
        }
    )
    fitted = fit(table, columns=ColumnSpec(target="y"))
    assert fitted.feature_names == (
        "s_a_b", "s_a_b_2", "s_a_b_3", "s_a_b_4", "s_other", "s_null", "s_a_b_2_2", "s_other_2", "split_2",
    )  # fmt: skip
    block = encoded(table, fitted)
    assert block[1:4].tolist() == np.eye(3).tolist()  # sorted by value: "a b", "a-b", "a_b"
    np.testing.assert_allclose(block[6], StandardScaler().fit_transform([[3.0], [1.0], [2.0]])[:, 0], rtol=1e-6)
    # Features never take the name of what rows carry.
    assert (
        "t_sin_hour"
        not in fit(
            pa.table({"t": pa.array([1, 2], pa.timestamp("s")), "t_sin_hour": [1, 2]}), columns=ColumnSpec(target="t_sin_hour")
        ).feature_names
    )


def test_what_is_dropped_and_why():
    table = pa.table(
        {
            "x": [1.0, 2.0, 3.0, 4.0],
            "flat": [7.0, None, 7.0, 7.0],
            "rare": [None, None, None, 1.0],
            "rare_word": [None, None, None, "w"],
            "gone": pa.nulls(4, pa.float64()),
            "infinite": [np.inf, np.nan, None, -np.inf],
            "raw": pa.array([b""] * 4),
            "same": ["w"] * 4,
        }
    )
    fitted = fit(table, threshold=0.6)
    assert [c.name for c in fitted.columns] == ["x", "same"]
    assert {c.name: c.reason for c in fitted.dropped} == {
        "raw": "binary columns are not supported; if it holds UTF-8 texts, name it in columns.categorical",
        "flat": "constant in training (7)",
        "rare": "75% of its training values are missing, more than high_null_threshold = 0.6",
        "rare_word": "75% of its training values are missing, more than high_null_threshold = 0.6",
        "gone": "100% of its training values are missing, more than high_null_threshold = 0.6",
        "infinite": "100% of its training values are missing, more than high_null_threshold = 0.6",
    }
    assert [c.name for c in fit(table, threshold=0.75).columns if c.name.startswith("rare")] == ["rare_word"]  # rare: constant
    assert "gone" not in {c.name for c in fit(table, threshold=1.0).columns}


def test_nothing_left():
    with pytest.raises(DataError, match=r"No column makes a feature on the training rows \(x: constant in training"):
        fit(pa.table({"x": [1.0, 1.0]}))


@pytest.mark.parametrize("epoch", [False, True])
@pytest.mark.parametrize("scale", ["numeric", "all"])
def test_a_state_of_version_2_is_read(scale, epoch):
    table = random_table()
    fitted = fit(table, scale=scale, cycles=CyclicalSpec("calendar", "Asia/Tokyo", epoch))
    old = json.loads(json.dumps(as_version_2(fitted.to_json())))
    assert Preprocessing.from_json(old) == fitted


def test_a_state_of_an_unknown_kind_is_refused_by_name():
    data = fit(pa.table({"x": [1.0, 2.0]})).to_json()
    data["columns"] = [column | {"kind": "fractal"} for column in data["columns"]]
    with pytest.raises(ValueError, match="'fractal' is not a kind of column; the kinds are numeric, boolean"):
        Preprocessing.from_json(data)


@pytest.mark.parametrize("epoch", [False, True])
@pytest.mark.parametrize("scale", ["numeric", "all"])
def test_survives_json(scale, epoch):
    table = random_table()
    fitted = fit(table, scale=scale, cycles=CyclicalSpec("calendar", "Asia/Tokyo", epoch))
    again = Preprocessing.from_json(json.loads(json.dumps(fitted.to_json())))
    assert again == fitted
    np.testing.assert_array_equal(encoded(table, again), encoded(table, fitted))


def test_no_rows():
    table = random_table()
    assert encoded(table.slice(0, 0), fit(table)).shape == (len(fit(table).feature_names), 0)


@pytest.mark.parametrize("sentinel", [-np.finfo(float).max, 1e200])
def test_numbers_too_large_for_a_deviation_are_refused(sentinel):
    """Some programs write the largest float for a missing value; scaled by it, all others would be zero."""
    with pytest.raises(DataError, match=r"Column 'x' holds numbers from .* too far apart for a standard deviation"):
        fit(pa.table({"x": [1.0, 2.0, sentinel, sentinel]}))


def test_ids_that_float64_takes_for_one_number_are_said_to_be():
    fitted = fit(pa.table({"id": np.arange(100) + 2**60, "x": np.arange(100)}))
    reason = "constant in training (1.15292e+18; whole numbers beyond 2**53 that differ in their last digits are one float64)"
    assert {column.name: column.reason for column in fitted.dropped} == {"id": reason}
