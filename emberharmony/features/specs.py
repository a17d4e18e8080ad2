"""The sections of a job that say how features are made: `datetime`, `categories` and `numbers`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta, timezone, tzinfo
from typing import Literal

from emberharmony.settings import Section

N_CYCLES = 4
"""Cycles of a time: hour, day of the week, day of the month and month."""
_OFFSET = re.compile(r"[+-]([01]\d|2[0-3]):[0-5]\d")


@dataclass(frozen=True)
class CyclicalSpec(Section):
    """How times become angles.

    ``inclusive`` divides by the largest value (23, 6, 30, 11), so that 23:00 falls on 00:00. ``calendar`` divides by the
    number of values (24, 7, days of that month, 12), so that 23:00 lies one hour before 00:00.
    """

    cycle: Literal["inclusive", "calendar"] = "inclusive"
    """What an hour, day of the week, day and month are divided by."""
    time_zone: str = "UTC"
    """Where clocks are read, such as `America/New_York` or `+05:30`; times without a zone are taken as they stand."""
    epoch: bool = False
    """Whether the moment itself is a ninth feature: seconds since 1970, a number like any other."""

    @property
    def n_features(self) -> int:
        """Features of every datetime column."""
        return 2 * N_CYCLES + self.epoch

    def __post_init__(self) -> None:
        """Refuse unknown time zones."""
        zone_named(self.time_zone)


@dataclass(frozen=True)
class CategorySpec(Section):
    """How categories become one-hot features."""

    max_categories: int = 100
    """Most frequent training values of each column that get a feature; the rest share `_other`, nulls have `_null`."""

    def __post_init__(self) -> None:
        """Refuse a vocabulary of no values."""
        if self.max_categories < 1:
            raise ValueError(f"max_categories is at least 1, got {self.max_categories}.")


@dataclass(frozen=True)
class NumberSpec(Section):
    """How numbers are scaled."""

    scale: Literal["numeric", "all"] = "numeric"
    """What is scaled to mean 0 and deviation 1 of the training rows: numeric columns, or all features."""


@dataclass(frozen=True)
class FeatureSpecs:
    """The three sections together, as every kind of column receives them."""

    datetime: CyclicalSpec = field(default_factory=CyclicalSpec)
    categories: CategorySpec = field(default_factory=CategorySpec)
    numbers: NumberSpec = field(default_factory=NumberSpec)

    @property
    def scale_all(self) -> bool:
        """Whether every feature is scaled, not only those of numeric columns."""
        return self.numbers.scale == "all"


def zone_named(name: str) -> tzinfo:
    """Return the time zone of a name, or of an offset from UTC.

    Raises
    ------
    ValueError
        If there is none of that name.

    Examples
    --------
    >>> from datetime import datetime
    >>> zone_named("+05:30").utcoffset(datetime(2026, 1, 1)) / timedelta(minutes=1)
    330.0
    """
    from zoneinfo import ZoneInfo

    if _OFFSET.fullmatch(name):
        hours, minutes = int(name[1:3]), int(name[4:])
        length = timedelta(hours=hours, minutes=minutes)
        return timezone(-length if name[0] == "-" else length)
    try:
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError) as error:  # OSError: "America" is a folder of zones
        raise ValueError(f"Time zone {name!r} is not known; give one such as 'America/New_York' or '+05:30'.") from error
