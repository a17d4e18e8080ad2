"""Which times of a column belong to a slice."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from emberharmony.arrow import ticks
from emberharmony.io.sources.time_rows import TimeRows

ZONE = dt.timezone(dt.timedelta(hours=5, minutes=30))
NIGHT = TimeRows("t", dt.datetime(2026, 11, 28, tzinfo=ZONE), dt.datetime(2026, 11, 29, tzinfo=ZONE))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_a_tick_is_in_the_range_if_its_moment_is(unit, zone):
    type_ = pa.timestamp(unit, zone)
    begin = NIGHT.start if zone else NIGHT.start.replace(tzinfo=dt.UTC)  # as the clock stands
    after = (dt.timedelta(seconds=-1), dt.timedelta(0), dt.timedelta(hours=23, minutes=59), dt.timedelta(days=1))
    numbers = ticks(pa.array([begin + length for length in after], pa.timestamp(unit, "UTC")))[0]
    start, stop = NIGHT.ticks(type_)
    assert [start <= number < stop for number in numbers] == [False, True, True, False]


@pytest.mark.parametrize("type_", [pa.date32(), pa.date64()])
def test_a_date_belongs_to_the_slice_that_holds_its_midnight(type_):
    rows = TimeRows("t", dt.datetime(2026, 11, 27, 22, tzinfo=ZONE), NIGHT.stop)
    days = ticks(pa.array([dt.date(2026, 11, day) for day in (27, 28, 29)], type_))[0]
    start, stop = rows.ticks(type_)
    assert [start <= day < stop for day in days] == [False, True, False]
