"""Cyclical features of a frame against the formula of the user's guide."""

import datetime as dt
import logging

import numpy as np
import pandas as pd
import pytest

from emberharmony.features import TerabyteFeatureExtractor
from tests.frames import formula

STAMPS = pd.Series(pd.to_datetime(["2024-01-01 00:00", "2024-12-31 23:59", None, "1969-07-20 20:17", "2024-02-29 12:30"]))


@pytest.mark.parametrize(
    "make",
    [
        lambda s: s,
        lambda s: s.astype("datetime64[s]"),
        lambda s: s.astype("datetime64[ns]"),
        lambda s: s.dt.tz_localize("UTC"),
        lambda s: s.dt.tz_localize("America/New_York"),
        lambda s: s.astype("timestamp[us][pyarrow]"),
        lambda s: s.dt.strftime("%Y-%m-%d %H:%M:%S"),
        lambda s: s.dt.strftime("%m/%d/%Y %H:%M"),
        lambda s: s.dt.strftime("%Y-%m-%dT%H:%M:%SZ").astype(object),
        lambda s: s.astype(object),
    ],
)
def test_datetime_features_follow_the_formula(backend, make):
    frame = pd.DataFrame({"when": make(STAMPS), "x": range(5)}, index=[5, 3, 9, 1, 7])
    frame["when"] = make(STAMPS).to_numpy() if make(STAMPS).dtype == object else make(STAMPS).array
    before = frame.copy()
    made = TerabyteFeatureExtractor(preferred_backend=backend, verbose=False)._create_datetime_features(frame, "when")
    expected = formula(STAMPS, "when")
    assert list(made.columns) == ["when", "x", *expected.columns]
    assert list(made.index) == [5, 3, 9, 1, 7]
    np.testing.assert_allclose(made[expected.columns], expected, atol=1e-6)
    assert made.loc[9, list(expected.columns)].isna().all()
    pd.testing.assert_frame_equal(frame, before)


def test_dates_are_times_at_midnight(extractor):
    days = [dt.date(2024, 5, 17), dt.date(1999, 12, 31)]
    for column in (days, pd.array(days, dtype="date32[pyarrow]")):
        made = extractor._create_datetime_features(pd.DataFrame({"d": column}), "d")
        np.testing.assert_allclose(made.iloc[:, 1:], formula(pd.Series(pd.to_datetime(days)), "d"), atol=1e-6)


def test_a_column_that_is_not_there_leaves_the_frame(extractor, caplog):
    frame = pd.DataFrame({"c": [1]})
    with caplog.at_level(logging.WARNING, "emberharmony"):
        assert extractor._create_datetime_features(frame, "when") is frame
    assert "'when'" in caplog.text


def test_a_name_of_two_columns_leaves_the_frame(extractor, caplog):
    frame = pd.DataFrame([["2024-01-01", "2024-01-02"]], columns=["when", "when"])
    with caplog.at_level(logging.WARNING, "emberharmony"):
        assert extractor._create_datetime_features(frame, "when") is frame
    assert "2 columns 'when'" in caplog.text
