"""Slices: the hours, days, weeks or months that a table is processed by, each with a name, and the rows that belong to it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Self

from emberharmony.errors import PlanError
from emberharmony.features.specs import zone_named
from emberharmony.messages import shown
from emberharmony.settings import Duration, Section

FOLDER: Final = "slice="
"""Begins the name of the folder of a slice, below the sink's."""
_PLACEHOLDER: Final = re.compile(r"\{(slice|slice_from|slice_end)(?::([^{}]*))?\}")
_MOST_IN_RANGE: Final = 100_000
_WINTER, _SUMMER = dt.datetime(2026, 1, 1), dt.datetime(2026, 7, 1)  # noqa: DTZ001 - clocks there
_EXAMPLE = dt.datetime(2026, 11, 23, 14, tzinfo=dt.UTC)  # a Monday

Every = Literal["hour", "day", "week", "month"]


@dataclass(frozen=True)
class Period:
    """A length of slices: how they are named, and where they begin on a clock."""

    format: str
    """A format of `strftime`; names in it sort by time."""
    start_of: Callable[[dt.datetime], dt.datetime]
    """Returns the start of the slice that holds a moment."""
    longest: dt.timedelta
    """Added to the start of a slice, this lies in the next slice, however long the slice is."""
    named_by: str = "beginnings"
    """What slices are named by, in messages."""
    divides_days: bool = False
    """Whether a day has several, so that names are not unique where clocks are set back."""

    def after(self, start: dt.datetime) -> dt.datetime:
        """Return the start of the slice that follows the one which begins at `start`."""
        return self.start_of(start + self.longest)


def _hour_of(moment: dt.datetime) -> dt.datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _day_of(moment: dt.datetime) -> dt.datetime:
    return _hour_of(moment).replace(hour=0)


def _week_of(moment: dt.datetime) -> dt.datetime:
    return _day_of(moment - dt.timedelta(days=moment.weekday()))


def _month_of(moment: dt.datetime) -> dt.datetime:
    return _day_of(moment).replace(day=1)


PERIODS: Final[dict[str, Period]] = {
    "hour": Period("%Y-%m-%dT%H", _hour_of, dt.timedelta(hours=1), divides_days=True),
    "day": Period("%Y-%m-%d", _day_of, dt.timedelta(days=1)),
    "week": Period("%Y-%m-%d", _week_of, dt.timedelta(days=7), named_by="Mondays"),
    "month": Period("%Y-%m", _month_of, dt.timedelta(days=31)),
}
"""By the value of `slices.every`."""


@dataclass(frozen=True)
class Slice:
    """The rows of a table whose time lies in ``[start, stop)``.

    Examples
    --------
    >>> night = SlicesSpec(time_zone="America/New_York").named("2026-11-28")
    >>> night.start.isoformat(), night.stop.isoformat(), night.folder
    ('2026-11-28T00:00:00-05:00', '2026-11-29T00:00:00-05:00', 'slice=2026-11-28')
    """

    name: str
    start: dt.datetime
    """With its time zone; columns without one are compared with the clock there."""
    stop: dt.datetime

    @property
    def folder(self) -> str:
        """Name of its folder below the sink's."""
        return FOLDER + self.name


@dataclass(frozen=True)
class SlicesSpec(Section):
    """A table that grows is processed slice by slice: each run reads, and replaces, the rows of one slice."""

    every: Every = "day"
    """Length of a slice: `hour`, `day`, `week` (from Monday) or `month`; named `2026-11-28T14`, `2026-11-28` or `2026-11`."""
    time_zone: str = "UTC"
    """Where days begin, such as `America/New_York`; times without a zone are taken as they stand."""
    history: Duration | None = None
    """How far before the end of its slice a job that fits begins to read, such as `90d`; by default where the slice begins."""

    def __post_init__(self) -> None:
        """Refuse unknown time zones, and hours on clocks that are changed."""
        zone = zone_named(self.time_zone)
        if self.history is not None and self.history <= dt.timedelta(0):
            raise ValueError(f"history is a length of time above zero, got {self.history}.")
        if self.period.divides_days and zone.utcoffset(_WINTER) != zone.utcoffset(_SUMMER):
            raise ValueError(
                f"Hours have no names of their own where clocks are changed, as in {self.time_zone}; set time_zone: UTC."
            )

    @property
    def period(self) -> Period:
        """The length of a slice."""
        return PERIODS[self.every]

    def holding(self, moment: dt.datetime) -> Slice:
        """Return the slice that holds a moment, which has a time zone."""
        return self._beginning(self.period.start_of(moment.astimezone(zone_named(self.time_zone))))

    def named(self, name: str) -> Slice:
        """Return the slice of a name.

        Raises
        ------
        PlanError
            If no slice of this length has that name.

        Examples
        --------
        >>> SlicesSpec(every="month").named("2026-12").stop.isoformat()
        '2027-01-01T00:00:00+00:00'
        >>> SlicesSpec(every="week").named("2026-11-28")
        Traceback (most recent call last):
        emberharmony.errors.PlanError: '2026-11-28' is no slice of a week: these are named by their Mondays, here '2026-11-23'.
        """
        period, zone = self.period, zone_named(self.time_zone)
        try:
            moment = dt.datetime.strptime(name, period.format).replace(tzinfo=zone)
        except (ValueError, TypeError):
            example = _EXAMPLE.strftime(period.format)
            raise PlanError(f"{shown(name)} is no slice of a {self.every}: these have names such as {example!r}.") from None
        found = self._beginning(period.start_of(moment))
        if found.name != name:
            raise PlanError(
                f"{shown(name)} is no slice of a {self.every}: these are named by their {period.named_by}, here "
                f"{found.name!r}."
            )
        return found

    def named_in(self, text: str) -> list[Slice]:
        """Return the slices that a text names, in order: one, or those of a range `FIRST..LAST` with both ends.

        Raises
        ------
        PlanError
            If it names none, or more than a hundred thousand.

        Examples
        --------
        >>> [found.name for found in SlicesSpec().named_in("2026-11-28..2026-12-01")]
        ['2026-11-28', '2026-11-29', '2026-11-30', '2026-12-01']
        """
        first, dots, last = text.partition("..")
        if not dots:
            return [self.named(text)]
        begin, end = self.named(first.strip()), self.named(last.strip())
        if end.start < begin.start:
            raise PlanError(f"The range of slices {shown(text)} ends before it begins; the earlier one comes first.")
        found = []
        for one in self._from(begin):
            found.append(one)
            if one.name == end.name:
                return found
            if len(found) == _MOST_IN_RANGE:
                raise PlanError(f"The range {shown(text)} has more than {_MOST_IN_RANGE:,} slices of a {self.every}.")
        raise AssertionError("slices have no end")

    def touching(self, start: dt.datetime, stop: dt.datetime) -> list[Slice]:
        """Return the slices that hold times in ``[start, stop)``, in order."""
        found = list[Slice]()
        for one in self._from(self.holding(start)):
            if one.start >= stop:
                return found
            found.append(one)
        raise AssertionError("slices have no end")

    def _from(self, first: Slice) -> Iterator[Slice]:
        while True:
            yield first
            first = self._beginning(first.stop)

    def _beginning(self, start: dt.datetime) -> Slice:
        return Slice(start.strftime(self.period.format), start, self.period.after(start))


@dataclass(frozen=True)
class SliceTimes:
    """What stands for the placeholders of a slice, `{slice}`, `{slice_from}` and `{slice_end}`."""

    spec: SlicesSpec
    slice: Slice
    slice_from: dt.datetime
    """Start of the rows that are read: that of the slice, or earlier."""

    @property
    def each_read(self) -> list[Self]:
        """The times of every slice of which rows are read, in order."""
        parts = self.spec.touching(self.slice_from, self.slice.stop)
        return [replace(self, slice=part, slice_from=part.start) for part in parts]

    def fill(self, text: str) -> str:
        """Return a text with every placeholder replaced.

        Examples
        --------
        >>> spec = SlicesSpec()
        >>> night = spec.named("2026-11-28")
        >>> SliceTimes(spec, night, night.start).fill("t >= '{slice}' AND t < '{slice_end}' -- {slice:%Y%m%d}")
        "t >= '2026-11-28' AND t < '2026-11-29' -- 20261128"
        """
        times = {"slice": self.slice.start, "slice_from": self.slice_from, "slice_end": self.slice.stop}
        return _PLACEHOLDER.sub(lambda found: times[found[1]].strftime(found[2] or self.spec.period.format), text)


def placeholders_in(value: Any) -> frozenset[str]:
    """Return the placeholders of slices in a text, or in the texts of a list or a tuple.

    Examples
    --------
    >>> sorted(placeholders_in(("day={slice}/*", "{slice_end:%Y}")))
    ['slice', 'slice_end']
    """
    if isinstance(value, str):
        return frozenset(found[1] for found in _PLACEHOLDER.finditer(value))
    if isinstance(value, tuple | list):
        return frozenset[str]().union(*map(placeholders_in, value))
    return frozenset()
