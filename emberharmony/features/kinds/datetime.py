"""Times: sine and cosine of the hour, day of the week, day of the month and month."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from numpy.typing import NDArray

from emberharmony import ops
from emberharmony.arrow import TICKS_PER_DAY, holds_times, plain_type, ticks
from emberharmony.backend import select
from emberharmony.features.drift import Baseline, ColumnCounts, null_drift, null_figures
from emberharmony.features.kinds.base import Counted, FittedColumn, Formula, Step
from emberharmony.features.kinds.numeric import Scaling, number_formula, scale, scale_each, scaled_formulas
from emberharmony.features.profile import ColumnProfile
from emberharmony.features.specs import CyclicalSpec, FeatureSpecs
from emberharmony.stats.categories import TopCategories
from emberharmony.stats.moments import Moments
from emberharmony.threads import each_block
from emberharmony.typing import FeatureBlock, FloatArray, IntArray

LARGEST = {"hour": 23, "dayofweek": 6, "day": 30, "month": 11}
"""The largest value of every part of a time, counted from zero; `inclusive` cycles divide by it."""
PARTS = {"hour": "hour", "dayofweek": "day of the week", "day": "day of the month", "month": "month"}
"""The parts of a time, in the order of their features, and what to call them."""

_HOST_BLOCK_ROWS = 32_768  # so many gathered rows stay in cache until they are transposed: measured from 4,096 to 131,072
_SEARCHED_ROWS = 262_144  # of a thread at a time: 2 MiB
_MAX_TABLE_DAYS = 20_000  # some 55 years: 15 MB of table


@dataclass(frozen=True)
class FittedTimes(FittedColumn):
    """A column of times and its cyclical features; the moment itself comes last."""

    cycles: CyclicalSpec
    scalings: tuple[Scaling, ...] = ()  # one for each cyclical feature, if the job scales all features
    epoch: Scaling | None = None  # of the moment, if it is a feature

    @property
    def is_scaled(self) -> bool:
        """Whether values may be clipped."""
        return bool(self.scalings or self.epoch)


class Datetime:
    """Timestamps and dates."""

    name = "datetime"
    fitted = FittedTimes
    step: Step = "datetime-features"
    is_sparse = False
    bounds: tuple[str, ...] = ("max_null_share",)

    def accepts(self, type_: pa.DataType, /) -> bool:
        """Whether a type holds times."""
        return holds_times(type_)

    def width(self, specs: FeatureSpecs, *, n_distinct: int | None = None) -> int:
        """Return the number of cyclical features, and one more for the moment."""
        return specs.datetime.n_features

    def counted(self, specs: FeatureSpecs) -> Counted:
        """Return that moments are counted if they are a feature."""
        return "numbers" if specs.datetime.epoch else "nothing"

    def profile(self, values: pa.ChunkedArray, specs: FeatureSpecs) -> ColumnProfile:
        """Count nulls, and measure those features that the job scales."""
        if specs.datetime.epoch:
            profile = ColumnProfile.of_numbers(epoch(values), n_null=values.null_count)
        else:
            profile = replace(ColumnProfile.empty(), n_rows=len(values), n_null=values.null_count)
        if not specs.scale_all:
            return profile
        block = cyclical_block(values, specs.datetime).astype(np.float64)
        return replace(profile, features=tuple(Moments.of(feature) for feature in block))

    def fit(self, name: str, profile: ColumnProfile, specs: FeatureSpecs, categories: TopCategories) -> FittedTimes:
        """Fit what the job scales; cyclical features themselves need no fit."""
        scalings = tuple(Scaling.fit(m, median=0.0, n_missing=0) for m in profile.features) if specs.scale_all else ()
        if not specs.datetime.epoch:
            return FittedTimes(name, self.name, feature_names(name), specs.datetime, scalings, few_values=True)
        moment = Scaling.fit(profile.moments, median=profile.quantiles.median(), n_missing=profile.n_missing)
        return FittedTimes(name, self.name, (*feature_names(name), epoch_name(name)), specs.datetime, scalings, moment)

    def transform(self, values: pa.ChunkedArray, fitted: FittedTimes) -> FeatureBlock:
        """Return the cyclical features, and the moment if it is a feature."""
        block = scale_each(cyclical_block(values, fitted.cycles), fitted.scalings)
        return np.concatenate([block, scale(epoch(values), fitted.epoch)]) if fitted.epoch else block

    def describe(self, fitted: FittedTimes) -> list[str]:
        """Describe every feature."""
        circles = [f"{function} of the {part} of {fitted.name}" for part in PARTS.values() for function in ("Sine", "Cosine")]
        moment = f"{fitted.name} in seconds since 1970, missing values filled in and scaled"
        return [*circles, moment] if fitted.epoch else circles

    def formulas(self, fitted: FittedTimes, type_: pa.DataType) -> list[Formula]:
        """Return the angles of the cyclical features, and the moment if it is a feature."""
        cycles, local = fitted.cycles, _local_expression(type_, fitted.cycles.time_zone)
        chosen = {"cycle": cycles.cycle, "time_zone": cycles.time_zone}
        circles = []
        for part, (text, expression, length, length_expression) in _ANGLES.items():
            is_inclusive = cycles.cycle == "inclusive"
            divisor, over = (str(LARGEST[part]),) * 2 if is_inclusive else (length, length_expression.format(t=local))
            angle = f"2 * np.pi * {expression.format(t=local)} / {over}"
            angle_text = f"2π · {text.format(t=fitted.name)} / {divisor}"
            circles += [
                Formula(f"{function}({angle_text})", f"np.{function}({angle}).fillna(0.0)", _MISSING, chosen)
                for function in ("sin", "cos")
            ]
        formulas = scaled_formulas(circles, fitted.scalings)
        if fitted.epoch is None:
            return formulas
        seconds = '(pd.to_datetime(x, utc=True) - pd.Timestamp("1970-01-01", tz="UTC")).dt.total_seconds()'
        return [*formulas, number_formula(f"seconds({fitted.name})", seconds, fitted.epoch)]

    def baseline(self, profile: ColumnProfile, fitted: FittedTimes, categories: TopCategories) -> Baseline:
        """Count missing times only: all others move on."""
        return Baseline((), ColumnCounts(profile.n_rows, profile.n_missing, profile.moments, np.empty(0, np.int64)))

    def count(self, values: pa.ChunkedArray, fitted: FittedTimes, baseline: Baseline) -> ColumnCounts:
        """Count missing times."""
        return ColumnCounts(len(values), values.null_count, Moments.empty(), np.empty(0, np.int64))

    def figures(self, counts: ColumnCounts) -> dict[str, float]:
        """Return the null share."""
        return null_figures(counts)

    def drift(self, baseline: Baseline, now: ColumnCounts) -> dict[str, float]:
        """Return the figures, and the change of the null share."""
        return self.figures(now) | null_drift(baseline.counts, now)

    def aggregates(self, value: str, sql_type: str, *, n_quantiles: int, n_top: int) -> Mapping[str, str]:
        """Return the number of nulls."""
        return {"null": f"COUNTIF({value} IS NULL)"}

    def why_not_aggregated(self, type_: pa.DataType, specs: FeatureSpecs) -> str | None:
        """Refuse jobs that fit more of a time than its nulls."""
        if specs.datetime.epoch:
            return "BigQuery computes no quantiles of times, which `datetime.epoch` needs"
        if specs.scale_all:
            return "BigQuery computes no cyclical features, which `numbers.scale: all` scales"
        return None


_MISSING = "rows without a time have 0 in all of these features"
_ANGLES = {
    "hour": ("hour({t})", "{t}.dt.hour", "24", "24"),
    "dayofweek": ("dayofweek({t})", "{t}.dt.day_of_week", "7", "7"),
    "day": ("(day({t}) - 1)", "({t}.dt.day - 1)", "days in its month", "{t}.dt.days_in_month"),
    "month": ("(month({t}) - 1)", "({t}.dt.month - 1)", "12", "12"),
}
"""Of every part: what it is, in pandas, and its number of values, in pandas."""


def _local_expression(type_: pa.DataType, time_zone: str) -> str:
    """Return `local_ticks` of a column ``x`` of an Arrow type as a series of times in pandas."""
    type_ = plain_type(type_)
    if not pt.is_timestamp(type_):
        return "pd.to_datetime(x)"
    return "x" if type_.tz is None else f"x.dt.tz_convert({time_zone!r})"


def feature_names(column: str) -> tuple[str, ...]:
    """Return the names of a column's eight cyclical features, in their order.

    Examples
    --------
    >>> feature_names("t")[:3]
    ('t_sin_hour', 't_cos_hour', 't_sin_dayofweek')
    """
    return tuple(f"{column}_{function}_{part}" for part in PARTS for function in ("sin", "cos"))


def epoch_name(column: str) -> str:
    """Return the name of the feature that is the moment itself."""
    return f"{column}_epoch"


def epoch(column: pa.Array | pa.ChunkedArray) -> FloatArray:
    """Return seconds since 1970-01-01T00:00 UTC, shape ``(n_rows,)``, NaN for null; times without a zone count as UTC.

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
    """Return `ticks` of the wall clock in `time_zone`; times without a zone are taken as they stand."""
    if pt.is_timestamp(column.type) and column.type.tz is not None and time_zone != "UTC":
        local, missing, unit = ticks(pc.local_timestamp(column.cast(pa.timestamp(column.type.unit, time_zone))))
        utc, limits, day = ticks(column)[0], np.iinfo(np.int64), TICKS_PER_DAY[unit]
        # Within a day of the first and last tick, the local time may not fit into int64, and Arrow wraps around.
        wrapped = (utc < limits.min + day) & (local > 0) | (utc > limits.max - day) & (local < 0)
        return (np.where(wrapped, utc, local) if wrapped.any() else local), missing, unit
    return ticks(column)


def cyclical_block(column: pa.ChunkedArray, cycles: CyclicalSpec) -> FeatureBlock:
    """Return the cyclical features of one column; nulls give zeros."""
    numbers, missing, unit = local_ticks(column, cycles.time_zone)
    if missing is not None:
        # A tick from the column's own range: 1970 would stretch the table of days.
        numbers = np.where(missing, numbers[~missing].min() if not missing.all() else 0, numbers)
    block = cyclical_features(numbers, unit=unit, cycle=cycles.cycle)
    if missing is not None:
        block[:, missing] = 0.0
    return block


def cyclical_features(numbers: IntArray, /, *, unit: str, cycle: Literal["inclusive", "calendar"]) -> FeatureBlock:
    """Return eight features of every time: sine and cosine of hour, day of week, day of month and month.

    An integer division gives the hour since 1970. Its sines and cosines are looked up in tables made in float64 on the host,
    so that every backend gathers the same bits. There is one table of all hours in the range; if the range exceeds a few
    decades, there is one table of the hours of a day and one of the days that occur.

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
    step = _HOST_BLOCK_ROWS if select().device.startswith("cpu") else len(numbers)
    first_day, last_day = (extreme // TICKS_PER_DAY[unit] for extreme in _extremes(numbers))
    has_room = first_day * TICKS_PER_DAY[unit] >= np.iinfo(np.int64).min
    if last_day - first_day < _MAX_TABLE_DAYS and has_room:
        # One division, and one table of the hours in the range.
        table = ops.asarray(_hour_table(np.arange(first_day, last_day + 1), cycle))

        def look_up(begin: int) -> None:
            moment = ops.asarray(numbers[begin : begin + step]) - first_day * TICKS_PER_DAY[unit]  # not negative
            out[:, begin : begin + step] = ops.take(table, moment // hour_ticks, axis=0).numpy().T
    else:
        # Some dates lie centuries away.
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


def _extremes(numbers: IntArray) -> tuple[int, int]:
    """Return the smallest and the largest number."""
    found = list[tuple[int, int]]()

    def look_at(begin: int) -> None:
        some = numbers[begin : begin + _SEARCHED_ROWS]
        found.append((int(some.min()), int(some.max())))

    each_block(look_at, range(0, len(numbers), _SEARCHED_ROWS))
    return min(low for low, _ in found), max(high for _, high in found)


def _hour_table(days: IntArray, cycle: str) -> NDArray[np.float32]:
    """Return the eight features of every hour of the given calendar days; shape ``(24 * n_days, 8)``.

    An hour's features are adjacent: one look-up of 32 bytes takes half the time of eight look-ups of 4 bytes.
    """
    table = np.empty((len(days), 24, 8), np.float32)
    table[:, :, :2] = _hours_of_day(cycle).T
    table[:, :, 2:] = _day_table(days, cycle).T[:, None]
    return table.reshape(-1, 8)


def _hours_of_day(cycle: str) -> NDArray[np.float32]:
    """Return sine and cosine of every hour of a day; shape ``(2, 24)``."""
    return _circle(np.arange(24), LARGEST["hour"] if cycle == "inclusive" else 24)


def _day_table(days: IntArray, cycle: str) -> NDArray[np.float32]:
    """Return sine and cosine of day of week, day of month and month of calendar days; shape ``(6, n_days)``."""
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
