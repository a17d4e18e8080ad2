"""Frames for a fitted state: the same columns with the same types, or an error that names them."""

import re

import numpy as np
import pandas as pd
import polars as pl
import pytest

from emberharmony.errors import DataError
from emberharmony.features.preprocessing import Preprocessing
from tests.frames import NOW


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": NOW.k.astype(float).astype(str)}, "'k' is large_string (it was int64)"),
        ({"s": 1}, "'s' is int64 (it was "),
        ({"x": [True] * 60}, "'x' is bool (it was double)"),
        ({"x": "abc", "s": 1.5}, "'x' is large_string (it was double); 's' is double"),
        ({"t": NOW.t.dt.tz_localize("UTC")}, "'t' is timestamp["),
        ({"t": NOW.t.astype(str)}, "'t' is large_string"),
        ({"t": NOW.t.astype("int64")}, "'t' is int64"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_transform_refuses_other_types(extractor, change, message):
    state = extractor.prepare_data(NOW, force_categorical_columns=["k"]).state
    with pytest.raises(DataError, match=re.escape(message)):
        extractor.transform(NOW.assign(**change), state)


def test_transform_takes_what_holds_the_same_values(extractor):
    prepared = extractor.prepare_data(NOW, force_categorical_columns=["k"])
    expected = extractor.transform(NOW, prepared.state)
    same = [
        NOW[["t", "s", "k", "x"]].assign(other=[object()] * 60),
        NOW.astype({"k": "int8", "s": "category", "x": "float64[pyarrow]", "t": "datetime64[s]"}),
        pl.from_pandas(NOW),
    ]
    for frame in same:
        np.testing.assert_array_equal(extractor.transform(frame), expected)
    some = NOW.assign(k=NOW.k.astype(float).where(NOW.index > 3))  # what pandas makes of whole numbers with missing values
    np.testing.assert_array_equal(extractor.transform(some)[4:], expected[4:])
    assert (extractor.transform(some)["k_null"][:4] == 1).all()
    assert (extractor.transform(NOW.assign(k=NOW.k + 0.5))["k_other"] == 1).all()


def test_transform_takes_nested_columns(extractor):
    place = [None if i % 9 == 0 else {"lat": i / 7, "name": f"v{i % 3}"} for i in range(60)]
    frame = NOW.assign(place=place, place_2=range(60))
    prepared = extractor.prepare_data(frame, fractions=(1, 0, 0))
    assert {"place_lat", "place_name_v1", "place_2"} <= set(prepared.feature_names)
    np.testing.assert_array_equal(extractor.transform(frame), prepared.train[list(prepared.feature_names)])
    flat = extractor.prepare_data(
        NOW.assign(place_lat=[p and p["lat"] for p in place], place_name=[p and p["name"] for p in place], place_2=range(60)),
        fractions=(1, 0, 0),
    )
    np.testing.assert_array_equal(extractor.transform(frame, flat.state), flat.train[list(flat.feature_names)])
    without = extractor.prepare_data(frame, drop_columns=["place", "place_2"])
    assert not [name for name in without.feature_names if name.startswith("place")]
    with pytest.raises(DataError, match=r"'place\.lat' and 'place_lat' are both called 'place_lat'"):
        extractor.transform(frame.assign(place_lat=1.0), flat.state)


@pytest.mark.parametrize("column", ["x", "k", "s", "t"])
def test_a_column_without_a_value_may_have_any_type(extractor, column):
    state = extractor.prepare_data(NOW).state
    nothing = extractor.transform(NOW.assign(**{column: [None] * 60}), state)
    typed = {"x": "float64", "k": "Int64", "s": "string", "t": "datetime64[us]"}[column]
    expected = extractor.transform(NOW.assign(**{column: pd.Series([None] * 60, dtype=typed)}), state)
    pd.testing.assert_frame_equal(nothing, expected)


def test_a_state_of_before_knows_no_types(extractor):
    state = extractor.prepare_data(NOW).state
    data = state.to_json()
    del data["schema"]
    old = Preprocessing.from_json(data)
    pd.testing.assert_frame_equal(extractor.transform(NOW, old), extractor.transform(NOW, state))
    with pytest.raises(DataError, match="lacks x"):
        extractor.transform(NOW.drop(columns="x"), old)
