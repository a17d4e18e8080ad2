"""Descriptions of features and of the columns of windows."""

from __future__ import annotations

from emberharmony.pipeline.descriptions import feature_descriptions, window_descriptions


def test_every_feature_is_described(run):
    columns = run.fitted.preprocessing.columns
    described = feature_descriptions(columns)
    assert list(described) == list(run.fitted.preprocessing.feature_names)
    assert all(described.values())
    color = next(column for column in columns if column.name == "color")
    values = [described[name] for name in color.features]
    assert values == [
        *(f"1 where color is {value!r}" for value in color.vocabulary),
        "1 where color is any other value",
        "1 where color is missing",
    ]


def test_columns_of_windows_are_described(run):
    described = window_descriptions(run)
    assert list(described) == ["first_row", "last_row", "start_time", "end_time", "y"]
    assert "the 3 rows of its split from there on, in order of t" in described["first_row"]
    assert described["y"] == "y of the window's last row"
