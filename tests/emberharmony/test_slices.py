"""Names and times of slices."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from emberharmony.errors import PlanError
from emberharmony.slices import PERIODS, SlicesSpec, SliceTimes, placeholders_in

NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize("every", PERIODS)
@pytest.mark.parametrize("zone", ["UTC", "+05:30", "America/New_York"])
def test_slices_follow_one_another_without_a_gap(every, zone):
    if every == "hour" and zone.startswith("America"):
        pytest.skip("hours need a clock that is not changed")
    spec = SlicesSpec(every=every, time_zone=zone)
    start = dt.datetime(2026, 10, 20, 13, 45, tzinfo=dt.UTC)
    parts = spec.touching(start, start + dt.timedelta(days=70))
    assert parts[0].start <= start < parts[0].stop
    assert all(a.stop == b.start for a, b in pairwise(parts))
    assert [spec.named(part.name) for part in parts] == parts
    assert [part.name for part in parts] == sorted({part.name for part in parts})


def test_a_day_has_25_hours_where_clocks_are_changed():
    day = SlicesSpec(time_zone="America/New_York").named("2026-11-01")
    assert day.stop.astimezone(dt.UTC) - day.start.astimezone(dt.UTC) == dt.timedelta(hours=25)


@pytest.mark.parametrize(
    ("every", "name"),
    [
        ("day", "2026-02-29"),
        ("day", "2026-1-5"),
        ("day", "28.11.2026"),
        ("hour", "2026-11-28"),
        ("month", "2026-13"),
        ("day", ""),
    ],
)
def test_names_of_no_slice(every, name):
    with pytest.raises(PlanError, match="is no slice of a"):
        SlicesSpec(every=every).named(name)


@pytest.mark.parametrize(
    ("text", "message"), [("2026-11-28..2026-11-01", "ends before it begins"), ("1000-01-01..2026-01-01", "more than 100,000")]
)
def test_refused_ranges(text, message):
    with pytest.raises(PlanError, match=message):
        SlicesSpec().named_in(text)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"time_zone": "Mars"}, "not known"),
        ({"history": dt.timedelta(0)}, "above zero"),
        ({"every": "hour", "time_zone": "Europe/Berlin"}, "where clocks are changed"),
    ],
)
def test_refused_settings(given, message):
    with pytest.raises(ValueError, match=message):
        SlicesSpec(**given)


def test_the_slice_of_a_moment_is_that_of_the_clock_there():
    moment = dt.datetime(2026, 11, 29, 3, tzinfo=dt.UTC)
    assert SlicesSpec(time_zone="America/New_York").holding(moment).name == "2026-11-28"
    assert SlicesSpec().holding(moment).name == "2026-11-29"


def test_placeholders():
    spec = SlicesSpec(every="month")
    part = spec.named("2026-12")
    times = SliceTimes(spec, part, part.start - dt.timedelta(hours=1))
    assert times.fill("{slice} {slice_end} {slice_from} {slice:%Y%m} {other}") == "2026-12 2027-01 2026-11 202612 {other}"
    assert [one.slice.name for one in times.each_read] == ["2026-11", "2026-12"]
    assert placeholders_in(["a", "{slice_end}"]) == {"slice_end"}
    assert placeholders_in(None) == placeholders_in("{Slice} {slices}") == frozenset()
