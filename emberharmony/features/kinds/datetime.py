"""Time as points on circles: hour, day of week, day of month and month."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from numpy.typing import NDArray

from emberharmony import ops
from emberharmony.arrow import TICKS_PER_DAY, ticks
from emberharmony.backend import select
from emberharmony.threads import each_block
from emberharmony.typing import FeatureBlock, FloatArray, IntArray

LARGEST = {"hour": 23, "dayofweek": 6, "day": 30, "month": 11}
"""Of every part of a time, counted from zero: what `inclusive` cycles divide by."""
PARTS = tuple(LARGEST)

_HOST_BLOCK_ROWS = 65_536  # what a block gathers stays in cache until it is turned
_MAX_TABLE_DAYS = 20_000  # some 55 years: 15 MB of table


@dataclass(frozen=True)
class CyclicalSpec:
    """How times become angles.

    ``inclusive`` divides by the largest value (23, 6, 30, 11), so that 23:00 falls on 00:00; ``calendar`` by the number of
    values (24, 7, days of that month, 12), so that it lies an hour before.
    """

    cycle: Literal["inclusive", "calendar"] = "inclusive"
    """What an hour, day of the week, day and month are divided by."""
    time_zone: str = "UTC"
    """Where clocks are read, such as `America/New_York`; times without a zone are taken as they stand."""
    epoch: bool = False
    """Whether the moment itself is a ninth feature: seconds since 1970, a number like any other."""

    @property
    def n_features(self) -> int:
        """Features of every datetime column."""
        return 2 * len(PARTS) + self.epoch

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "use_attribute_docstrings": True}

    def __post_init__(self) -> None:
        """Refuse time zones that nobody knows."""
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(self.time_zone)
        except (ValueError, KeyError, OSError) as error:  # OSError: "America" is a folder of zones
            raise ValueError(f"Time zone {self.time_zone!r} is not known; give one such as 'America/New_York'.") from error


def feature_names(column: str) -> tuple[str, ...]:
    """Names of a column's eight features, in their order.

    Examples
    --------
    >>> feature_names("t")[:3]
    ('t_sin_hour', 't_cos_hour', 't_sin_dayofweek')
    """
    return tuple(f"{column}_{function}_{part}" for part in PARTS for function in ("sin", "cos"))


def epoch_name(column: str) -> str:
    """Name of a column's moment as a number."""
    return f"{column}_epoch"


def epoch(column: pa.Array | pa.ChunkedArray) -> FloatArray:
    """Seconds since 1970 began in UTC, shape ``(n_rows,)``, NaN for null; times without a zone count as UTC.

    Examples
    --------
    >>> epoch(pa.array([1_500, None], pa.timestamp("ms"))).tolist()
    [1.5, nan]
    """
    numbers, missing, unit = ticks(column)
    seconds = numbers / (TICKS_PER_DAY[unit] / TICKS_PER_DAY["s"])
    if missing is not None:
        seconds[missing] = np.nan
    return seconds


def local_ticks(column: pa.Array | pa.ChunkedArray, time_zone: str) -> tuple[IntArray, NDArray[np.bool_] | None, str]:
    """Like `ticks`, of the time on the wall in `time_zone`; times without a zone already are that."""
    if pt.is_timestamp(column.type) and column.type.tz is not None and time_zone != "UTC":
        local, missing, unit = ticks(pc.local_timestamp(column.cast(pa.timestamp(column.type.unit, time_zone))))
        utc, limits, day = ticks(column)[0], np.iinfo(np.int64), TICKS_PER_DAY[unit]
        # Within a day of the first and last tick the local time may not exist, and Arrow wraps.
        wrapped = (utc < limits.min + day) & (local > 0) | (utc > limits.max - day) & (local < 0)
        return (np.where(wrapped, utc, local) if wrapped.any() else local), missing, unit
    return ticks(column)


def cyclical_block(column: pa.ChunkedArray, cycles: CyclicalSpec) -> FeatureBlock:
    """Cyclical features of one column; null times give zeros."""
    numbers, missing, unit = local_ticks(column, cycles.time_zone)
    if missing is not None:
        # An integer of the column's own range: 1970 would segment the table of days.
        numbers = np.where(missing, numbers[~missing].min() if not missing.all() else 0, numbers)
    block = cyclical_features(numbers, unit=unit, cycle=cycles.cycle)
    if missing is not None:
        block[:, missing] = 0.0
    return block


def cyclical_features(numbers: IntArray, /, *, unit: str, cycle: Literal["inclusive", "calendar"]) -> FeatureBlock:
    """The eight features of every time: sine and cosine of hour, day of week, day of month and month.

    The hour since 1970 is a whole-number division; its sines and cosines are looked up in tables that are made in float64 on
    the host, so that every backend gathers the same bits: one of all hours in the range, or, where that is more than a few
    decades, one of the hours of a day and one of the days that occur.

    Parameters
    ----------
    numbers : int64 array of shape (n_rows,)
        Time since 1970-01-01T00:00 in `unit`.
    unit : {"s", "ms", "us", "ns"}
        Unit of the numbers.
    cycle : {"inclusive", "calendar"}
        Divisors of the angles, see `CyclicalSpec`.

    Returns
    -------
    float32 array of shape (8, n_rows)
        Rows in the order of `feature_names`.

    Examples
    --------
    >>> monday_noon = np.array([4 * 86_400 + 12 * 3_600])  # 1970-01-05T12:00
    >>> cyclical_features(monday_noon, unit="s", cycle="calendar")[:4, 0].round(3).tolist()
    [0.0, -1.0, 0.0, 1.0]
    """
    out = np.empty((8, len(numbers)), np.float32)
    if len(numbers) == 0:
        return out
    hour_ticks = TICKS_PER_DAY[unit] // 24
    first_day, last_day = (int(extreme) // TICKS_PER_DAY[unit] for extreme in (numbers.min(), numbers.max()))
    step = _HOST_BLOCK_ROWS if select().device.startswith("cpu") else len(numbers)
    has_room = first_day * TICKS_PER_DAY[unit] >= np.iinfo(np.int64).min
    if last_day - first_day < _MAX_TABLE_DAYS and has_room:
        # One division and one table: the hours of the range, in order.
        table = ops.asarray(_hour_table(np.arange(first_day, last_day + 1), cycle))

        def look_up(begin: int) -> None:
            moment = ops.asarray(numbers[begin : begin + step]) - first_day * TICKS_PER_DAY[unit]  # not negative
            out[:, begin : begin + step] = ops.take(table, moment // hour_ticks, axis=0).numpy().T
    else:
        # A stray date centuries away.
        days = np.unique(numbers // TICKS_PER_DAY[unit])
        known_days, hour_table = ops.asarray(days), ops.asarray(np.ascontiguousarray(_hours_of_day(cycle).T))
        day_table = ops.asarray(np.ascontiguousarray(_day_table(days, cycle).T))

        def look_up(begin: int) -> None:
            hours = ops.asarray(numbers[begin : begin + step]) // hour_ticks
            day = hours // 24
            out[:2, begin : begin + step] = ops.take(hour_table, hours - day * 24, axis=0).numpy().T
            out[2:, begin : begin + step] = ops.take(day_table, ops.searchsorted(known_days, day), axis=0).numpy().T

    each_block(look_up, range(0, len(numbers), step))
    return out


def _hour_table(days: IntArray, cycle: str) -> NDArray[np.float32]:
    """The eight features of every hour of the given calendar days; shape ``(24 * n_days, 8)``.

    An hour's features lie side by side: one look-up of 32 bytes takes half the time of eight look-ups of four.
    """
    hours = np.tile(_hours_of_day(cycle), len(days))
    return np.ascontiguousarray(np.concatenate([hours, np.repeat(_day_table(days, cycle), 24, axis=1)]).T)


def _hours_of_day(cycle: str) -> NDArray[np.float32]:
    """Sine and cosine of every hour of a day; shape ``(2, 24)``."""
    return _circle(np.arange(24), LARGEST["hour"] if cycle == "inclusive" else 24)


def _day_table(days: IntArray, cycle: str) -> NDArray[np.float32]:
    """Sine and cosine of day of week, day of month and month of calendar days; shape ``(6, n_days)``."""
    date = days.astype("datetime64[D]")
    month = date.astype("datetime64[M]")
    first_of_month = month.astype("datetime64[D]")
    day_of_week = (days + 3) % 7  # day 0 was a Thursday
    day_of_month = (date - first_of_month).astype(np.int64)
    month_of_year = month.astype(np.int64) % 12
    if cycle == "inclusive":
        parts = {"dayofweek": day_of_week, "day": day_of_month, "month": month_of_year}
        return np.concatenate([_circle(position, LARGEST[part]) for part, position in parts.items()])
    days_in_month = ((month + np.timedelta64(1, "M")).astype("datetime64[D]") - first_of_month).astype(np.int64)
    return np.concatenate([_circle(day_of_week, 7), _circle(day_of_month, days_in_month), _circle(month_of_year, 12)])


def _circle(position: IntArray, circumference: int | IntArray) -> NDArray[np.float32]:
    angle = 2.0 * np.pi * position / circumference
    return np.stack([np.sin(angle), np.cos(angle)]).astype(np.float32)
