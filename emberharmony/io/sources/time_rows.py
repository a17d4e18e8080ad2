"""The rows of a table that a slice reads: those of a range of its time column."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from emberharmony.arrow import TICKS_PER_DAY, plain_type, tick_resolution, tick_unit

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)


@dataclass(frozen=True)
class TimeRows:
    """Rows whose value of a time column lies in ``[start, stop)``.

    Examples
    --------
    >>> zone = dt.timezone(dt.timedelta(hours=-5))
    >>> night = TimeRows("t", dt.datetime(2026, 11, 28, tzinfo=zone), dt.datetime(2026, 11, 29, tzinfo=zone))
    >>> hours = [tuple(tick / 3600 for tick in night.ticks(pa.timestamp("s", zone))) for zone in ("UTC", None)]
    >>> [(start % 24, stop % 24) for start, stop in hours]  # a column without a zone is read from the clock there
    [(5.0, 5.0), (0.0, 0.0)]
    """

    column: str
    start: dt.datetime
    """With its time zone."""
    stop: dt.datetime

    def ticks(self, type_: pa.DataType) -> tuple[int, int]:
        """Return the range in ticks of a column of this type: a tick is in it if its moment is."""
        return tick_at(self.start, type_), tick_at(self.stop, type_)


def tick_at(moment: dt.datetime, type_: pa.DataType) -> int:
    """Return the first tick, of a column of times of this type, that is not before a moment.

    Parameters
    ----------
    moment : datetime.datetime
        With its time zone. Types without one hold the times of the clock there.
    type_ : pyarrow.DataType
        Type of the column: dates or timestamps.

    Examples
    --------
    >>> tick_at(dt.datetime(1970, 1, 1, 2, tzinfo=dt.UTC), pa.date32()) == 86_400  # the next day
    True
    """
    type_ = plain_type(type_)
    if getattr(type_, "tz", None) is None:
        moment = moment.replace(tzinfo=dt.UTC)
    numerator = ((moment - _EPOCH) // _MICROSECOND) * TICKS_PER_DAY[tick_unit(type_)]
    step = tick_resolution(type_)
    return -(-numerator // (TICKS_PER_DAY["us"] * step)) * step
