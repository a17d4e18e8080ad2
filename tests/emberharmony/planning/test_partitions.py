"""Starts of partitions, against pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from emberharmony.planning.partitions import TimePartitions

PERIODS = {"HOUR": "h", "DAY": "D", "MONTH": "M", "YEAR": "Y"}


@pytest.mark.parametrize("granularity", PERIODS)
@pytest.mark.parametrize("unit", ["s", "us"])
def test_starts(granularity, unit):
    times = pd.date_range("1965-12-30 22:30", periods=400, freq="37h", unit=unit)
    partitions = TimePartitions(granularity, unit=unit)
    starts = partitions.starts(times.to_numpy().astype(np.int64))
    expected = times.to_period(PERIODS[granularity]).start_time.as_unit(unit).to_numpy().astype(np.int64)
    np.testing.assert_array_equal(starts, expected)
    assert (starts % partitions.grid == 0).all()
