"""Texts that are times, and texts that are not."""

import datetime as dt
import logging

import numpy as np
import pandas as pd
import pytest

from tests.frames import formula


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (["2024-01-01", "yesterday-ish"], "'yesterday-ish'"),
        ([1, 2], "int64"),
        ([object(), None], "object object"),
        ([None, "2024-01-01", 20240102], "20240102"),
        (pd.Categorical([5, 7]), "5"),
        (pd.Categorical(["2024-01-01", "never"]), "'never'"),
        (["12:30", "now"], "'12:30'"),
        (["now"], "'now'"),
        (["2024-01-01", "today"], "'today'"),
        (["02/03/2024", "04/05/2024"], "'02/03/2024', which is 2024-03-02 by %d/%m/%Y and 2024-02-03 by %m/%d/%Y"),
        (["13/02/2024", "02/13/2024"], "no time by"),
        (["2024-01-01", "01/31/2024"], "no time by"),
        (["2024-01-01T00:00Z", "2024-01-01"], "'2024-01-01'"),
        (["2024"], "'2024'"),
        (["2024-01-01", ""], "''"),
        ([pd.Timestamp("2024-01-01"), "2024-01-02"], "'2024-01-02'"),
        ([dt.time(3)], "time(3, 0)"),
    ],
)
def test_what_is_no_time_leaves_the_frame(extractor, caplog, column, message):
    frame = pd.DataFrame({"c": pd.Series(column)})
    with caplog.at_level(logging.WARNING, "emberharmony"):
        made = extractor._create_datetime_features(frame, "c")
    pd.testing.assert_frame_equal(made, frame)
    assert message in caplog.text
    assert "'c'" in caplog.text


@pytest.mark.parametrize(
    ("texts", "days"),
    [
        (["13/02/2024", "02/03/2024"], ["2024-02-13", "2024-03-02"]),
        (["02/03/2024", None, "02/13/2024"], ["2024-02-03", None, "2024-02-13"]),
        (["31.01.2024 17:30", "01.02.2024 00:00"], ["2024-01-31 17:30", "2024-02-01"]),
        (["1/31/2024 5:00 PM"], ["2024-01-31 17:00"]),
        (["05 Feb 2024", "06 Mar 2024"], ["2024-02-05", "2024-03-06"]),
        (["February 5, 2024"], ["2024-02-05"]),
        (["02/02/2024", "03/03/2024"], ["2024-02-02", "2024-03-03"]),
        (["20240131"], ["2024-01-31"]),
        (["2024-01-01T00:30+01:00", "2024-07-01T00:30+02:00"], ["2023-12-31 23:30", "2024-06-30 22:30"]),
    ],
    ids=str,
)
def test_texts_of_one_format_are_times(extractor, texts, days):
    made = extractor._create_datetime_features(pd.DataFrame({"d": pd.Series(texts, dtype=object)}), "d")
    expected = formula(pd.Series([pd.Timestamp(day) for day in days]), "d")
    np.testing.assert_allclose(made[expected.columns], expected, atol=1e-6)
