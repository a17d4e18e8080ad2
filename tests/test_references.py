"""The reference itself, on numbers worked out by hand."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from tests.references import (
    boolean_feature,
    categorical_features,
    datetime_features,
    deduplicated,
    fit_pca,
    in_order,
    numeric_feature,
    reference_job,
    temporal_split,
    windows_of,
)


def everywhere(column):
    return pd.Series(True, column.index)


def hours(*numbers):
    return pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(list(numbers), unit="h"))


def test_rows_of_equal_time_keep_their_order():
    table = pd.DataFrame({"t": hours(2, 1, 2, 1), "x": [0, 1, 2, 3]})
    assert in_order(table, "t")["x"].tolist() == [1, 3, 0, 2]
    assert in_order(table, None)["x"].tolist() == [0, 1, 2, 3]


def test_ties_stay_together_on_the_later_side():
    split = temporal_split(hours(0, 1, 2, 3, 4, 5, 6, 8, 8, 9), (0.8, 0.1, 0.1), timedelta(0))
    assert split.tolist() == ["train"] * 7 + ["validation"] * 2 + ["test"]


def test_a_gap_takes_from_the_earlier_split():
    split = temporal_split(hours(*range(10)), (0.5, 0.3, 0.2), timedelta(hours=2))
    assert split.tolist() == ["train"] * 3 + [None] * 2 + ["validation"] + [None] * 2 + ["test"] * 2


def test_numbers_are_imputed_by_the_median_and_then_standardised():
    column = pd.Series([1.0, 2.0, 6.0, np.nan, np.inf], name="x")
    # Training: 1, 2, 6 and the median 2 twice; mean 2.6, variance (2.56 + 0.36 + 11.56 + 0.36 + 0.36) / 5 = 3.04.
    assert numeric_feature(column, everywhere(column))["x"].tolist() == pytest.approx(
        [(v - 2.6) / 3.04**0.5 for v in (1, 2, 6, 2, 2)]
    )


def test_only_training_rows_are_fitted():
    column = pd.Series([0.0, 2.0, 100.0], name="x")
    train = pd.Series([True, True, False])
    assert numeric_feature(column, train)["x"].tolist() == [-1.0, 1.0, 99.0]


def test_booleans_become_zero_and_one():
    column = pd.Series([True, True, False, None], name="b", dtype="boolean")
    assert boolean_feature(column, everywhere(column))["b"].tolist() == [1.0, 1.0, 0.0, 1.0]


def test_times_inclusive():
    column = pd.Series([pd.Timestamp("2024-01-01 23:00"), pd.NaT], name="t")  # a Monday
    first, missing = datetime_features(column, cycle="inclusive", time_zone="UTC").to_numpy()
    assert first == pytest.approx([0, 1, 0, 1, 0, 1, 0, 1], abs=1e-12)  # 23:00 falls on 00:00
    assert missing.tolist() == [0.0] * 8


def test_times_of_the_calendar():
    column = pd.Series([pd.Timestamp("2024-04-16 06:00", tz="UTC")], name="t")  # a Tuesday, half of April's 30 days gone
    features = datetime_features(column, cycle="calendar", time_zone="UTC").iloc[0]
    assert features["t_sin_hour"] == pytest.approx(1.0)
    assert features["t_cos_day"] == pytest.approx(-1.0)
    assert features["t_sin_month"] == pytest.approx(1.0)
    assert features["t_sin_dayofweek"] == pytest.approx(np.sin(2 * np.pi / 7))
    assert list(features.index) == [f"t_{f}_{p}" for p in ("hour", "dayofweek", "day", "month") for f in ("sin", "cos")]
    abroad = datetime_features(column, cycle="calendar", time_zone="America/New_York").iloc[0]
    assert abroad["t_sin_hour"] == pytest.approx(np.sin(2 * np.pi * 2 / 24))  # two in the morning there


def test_categories_by_count_then_value():
    column = pd.Series(["b", "a", "c", "c", None, "d d"], name="s")
    features = categorical_features(column, everywhere(column), max_categories=3)
    assert list(features) == ["s_a", "s_b", "s_c", "s_other", "s_null"]
    assert features.to_numpy().argmax(axis=1).tolist() == [1, 0, 2, 2, 4, 3]
    assert features.to_numpy().sum() == 6


def test_equal_names_are_told_apart():
    assert deduplicated(["a_b", "a_b", "t", "a_b"], ["t"]) == ["a_b", "a_b_2", "t_2", "a_b_3"]


def test_windows_lie_end_to_end():
    rows = np.array([[1, 2], [3, 4], [5, 6], [7, 8]])
    assert windows_of(rows, size=2, stride=2).tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert windows_of(rows, size=5, stride=1).shape == (0, 10)


def test_the_largest_loading_is_positive():
    x = np.array([[0.0, 0.0], [-1.0, -2.0], [-2.0, -4.0]])
    pca = fit_pca(x, 1)
    assert pca.components_ == pytest.approx(np.array([[1.0, 2.0]]) / 5**0.5)
    assert pca.transform(x)[0] == pytest.approx(5**0.5)
    assert pca.explained_variance_ratio_ == pytest.approx([1.0])


def test_the_whole_job():
    table = pd.DataFrame(
        {
            "t": hours(*range(20))[::-1].reset_index(drop=True),
            "x": np.arange(20.0),
            "flat": 1.0,
            "empty": np.nan,
            "y": np.arange(20),
            "name": "n",
        }
    )
    job = reference_job(table, time="t", target="y", passthrough=["name"], size=2, strides=(1, 3))
    assert job.dropped == {"flat": "constant", "empty": "null"}
    assert len(job.feature_names) == 9
    assert job.features["train"]["row_number"].tolist() == list(range(19, 3, -1))
    assert job.features["test"]["row_number"].tolist() == [1, 0]
    assert job.features["train"]["x"].mean() == pytest.approx(0)
    assert job.windows[3]["train"].first_row.tolist() == [19, 16, 13, 10, 7]
    assert job.windows[3]["train"].last_row.tolist() == [18, 15, 12, 9, 6]
    assert job.windows[3]["train"].scores.shape == (5, 4)  # never more than windows - 1
    assert job.windows[1]["train"].scores.shape == (15, 9)
    assert job.windows[1]["test"].scores.shape == (1, 9)


def test_splits_from_outside():
    table = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0]})
    job = reference_job(table, split=["train", "test", "train", None], size=1, strides=(1,), components=1)
    assert job.features["train"]["row_number"].tolist() == [0, 2]
    assert job.features["validation"].empty
    assert job.windows[1]["test"].first_row.tolist() == [1]
