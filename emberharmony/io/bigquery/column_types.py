"""The BigQuery type of every Arrow type that columns are written as, and their values' conversion without a loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from emberharmony.arrow import is_text
from emberharmony.errors import DataError


@dataclass(frozen=True)
class WrittenType:
    """How values of one Arrow type are written to BigQuery."""

    bigquery: str
    """Type of the column there."""
    in_files: pa.DataType
    """Arrow type in the Parquet files of load jobs."""
    in_streams: pa.DataType
    """Arrow type in the Storage Write API, which takes fewer."""
    bounds: tuple[int, int] | None = None
    """Least and largest integer of `in_files` that BigQuery takes; ``None`` if it takes all."""
    span: str = ""
    """The bounds in words."""

    def refused(self, values: pa.ChunkedArray) -> pa.ChunkedArray | None:
        """Return whether BigQuery refuses each of the converted values; ``None`` if it takes all."""
        if self.bounds is None:
            return None
        numbers = values.cast(pa.int32() if pt.is_date32(values.type) else pa.int64())
        return pc.or_(pc.less(numbers, self.bounds[0]), pc.greater(numbers, self.bounds[1]))


def _plain(bigquery: str, arrow: pa.DataType, bounds: tuple[int, int] | None = None, span: str = "") -> WrittenType:
    return WrittenType(bigquery, arrow, arrow, bounds, span)


def _decimal(digits: int, scale: int) -> WrittenType | None:
    """How decimals are written that have so many digits before the point and after it."""
    scale = max(scale, 0)  # Parquet has no negative scale: it is written with its zeros
    arrow = (pa.decimal128 if digits + scale <= 38 else pa.decimal256)(digits + scale, scale) if digits + scale <= 76 else None
    if scale <= 9 and digits <= 29:
        return WrittenType("NUMERIC", arrow, pa.decimal128(38, 9))
    if scale <= 38 and digits <= 38:
        return WrittenType("BIGNUMERIC", arrow, pa.decimal256(76, 38))
    return None


_DAY_US: Final = 86_400_000_000
_DAYS: Final = (-719_162, 2_932_896)  # since 1970
_MOMENTS: Final = (_DAYS[0] * _DAY_US, (_DAYS[1] + 1) * _DAY_US - 1)
_YEARS: Final = "the years 1 to 9999"
_TIMESTAMP: Final = _plain("TIMESTAMP", pa.timestamp("us", "UTC"), _MOMENTS, _YEARS)
_DATETIME: Final = _plain("DATETIME", pa.timestamp("us"), _MOMENTS, _YEARS)

_WRITTEN: Final[tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.DataType], WrittenType | None]], ...]] = (
    (pt.is_dictionary, lambda kind: written_as(kind.value_type)),
    (pt.is_null, lambda _: _plain("STRING", pa.string())),
    (pt.is_boolean, lambda _: _plain("BOOL", pa.bool_())),
    (pt.is_uint64, lambda _: _decimal(20, 0)),
    (pt.is_integer, lambda _: _plain("INT64", pa.int64())),
    (pt.is_float64, lambda _: _plain("FLOAT64", pa.float64())),
    (pt.is_floating, lambda _: WrittenType("FLOAT64", pa.float32(), pa.float64())),
    (is_text, lambda _: _plain("STRING", pa.string())),
    (pt.is_timestamp, lambda kind: _TIMESTAMP if kind.tz else _DATETIME),
    (pt.is_date, lambda _: _plain("DATE", pa.date32(), _DAYS, _YEARS)),
    (pt.is_time, lambda _: _plain("TIME", pa.time64("us"), (0, _DAY_US - 1), "less than 24 hours")),
    (pt.is_decimal, lambda kind: _decimal(kind.precision - kind.scale, kind.scale)),
    (pt.is_binary, lambda _: _plain("BYTES", pa.binary())),
    (pt.is_large_binary, lambda _: _plain("BYTES", pa.binary())),
    (pt.is_binary_view, lambda _: _plain("BYTES", pa.binary())),
    (pt.is_fixed_size_binary, lambda _: _plain("BYTES", pa.binary())),
)


def written_as(kind: pa.DataType, /) -> WrittenType | None:
    """Return how columns of an Arrow type are written; ``None`` if BigQuery has no type for all of its values.

    Examples
    --------
    >>> [written_as(kind).bigquery for kind in (pa.uint64(), pa.decimal128(38, 9), pa.decimal128(38, 18), pa.date64())]
    ['NUMERIC', 'NUMERIC', 'BIGNUMERIC', 'DATE']
    >>> written_as(pa.timestamp("ns", "Europe/Berlin")).in_files
    TimestampType(timestamp[us, tz=UTC])
    >>> written_as(pa.decimal256(76, 0)), written_as(pa.duration("s")), written_as(pa.list_(pa.int8()))
    (None, None, None)
    """
    return next((written(kind) for holds, written in _WRITTEN if holds(kind)), None)


def why_not_written(kind: pa.DataType, /) -> str:
    """Return why columns of a type are not written.

    Examples
    --------
    >>> why_not_written(pa.duration("s"))
    'BigQuery loads no lengths of time from files'
    """
    if pt.is_dictionary(kind):
        return why_not_written(kind.value_type)
    if pt.is_decimal(kind):
        return "its widest decimals, BIGNUMERIC, have 38 digits before the point and 38 after it"
    if pt.is_duration(kind):
        return "BigQuery loads no lengths of time from files"
    if pt.is_nested(kind):
        return "nested columns are not published there"
    return "BigQuery has no type for all of its values"


def converted(values: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Return a column's values as the files of load jobs hold them.

    Parameters
    ----------
    values : pyarrow.ChunkedArray
        The column.
    name : str
        Its name, for messages.

    Raises
    ------
    DataError
        If BigQuery has no type for the column, or its type cannot hold one of the values: none is rounded.
    """
    written = written_as(values.type)
    if written is None:
        raise DataError(
            f"Column {name!r} is of type {values.type}, which is not written to BigQuery: {why_not_written(values.type)}."
        )
    if pt.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    try:
        result = values.cast(written.in_files)
    except pa.ArrowInvalid as error:
        value = _text(values, _first(_changed(values, written.in_files)))
        raise DataError(
            f"Column {name!r} holds {value}, which {written.bigquery} in BigQuery cannot hold exactly: its times are "
            f"microseconds, its dates whole days, both of {_YEARS}. Round the column in the source, or give it as an integer."
        ) from error
    refused = written.refused(result)
    if refused is not None and pc.any(refused).as_py():
        raise DataError(
            f"Column {name!r} holds {_text(values, _first(refused))}; {written.bigquery} in BigQuery holds {written.span}. "
            f"Leave such rows out of the source, or do not carry the column."
        )
    return result


def is_exact(kind: pa.DataType, /) -> bool:
    """Whether every value of a type can be written, so that no value need be looked at."""
    written = written_as(kind)
    return written is not None and written.bounds is None


def _changed(values: pa.ChunkedArray, into: pa.DataType) -> pa.ChunkedArray:
    """Whether each value comes back as another one from a conversion that checks nothing."""
    back = values.cast(into, safe=False).cast(values.type, safe=False)
    return pc.not_equal(back.cast(pa.int64(), safe=False), values.cast(pa.int64(), safe=False))


def _first(mask: pa.ChunkedArray) -> int:
    return max(int(pc.index(mask, True).as_py()), 0)


def _text(values: pa.ChunkedArray, row: int) -> str:
    return str(values.slice(row, 1).cast(pa.string())[0].as_py())
