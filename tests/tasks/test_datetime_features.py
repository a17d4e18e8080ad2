"""The task of the datetime columns returns the features of each by the user's formula."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa

from emberharmony.features.kinds.datetime import FittedTimes, feature_names
from emberharmony.features.preprocessing import Preprocessing
from emberharmony.features.specs import CyclicalSpec
from tasks.datetime_features import add_datetime_features

TIMES = [dt.datetime(2026, 1, 31, 23, 59, tzinfo=dt.UTC), dt.datetime(2024, 2, 29, 6, tzinfo=dt.UTC)]


def test_features_of_a_column_of_times(backend):
    fitted = Preprocessing((FittedTimes("t", "datetime", feature_names("t"), CyclicalSpec(), ()),), ())
    blocks = add_datetime_features.fn(pa.table({"t": TIMES, "x": [1.0, 2.0]}), fitted)
    assert blocks.keys() == {"t"}
    for time, features in zip(TIMES, blocks["t"].T, strict=True):
        named = dict(zip(feature_names("t"), features.tolist(), strict=True))
        day, month = (time.day - 1) / 30, (time.month - 1) / 11
        turns = {"hour": time.hour / 23, "dayofweek": time.weekday() / 6, "day": day, "month": month}
        for name, turn in turns.items():
            expected = np.sin(2 * np.pi * turn), np.cos(2 * np.pi * turn)
            np.testing.assert_allclose((named[f"t_sin_{name}"], named[f"t_cos_{name}"]), expected, atol=1e-6)
