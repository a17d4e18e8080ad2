"""The type in a Delta table of every Arrow type that columns are carried as, and their values' conversion without a loss.

The files of a run are registered as they are, so the columns are converted before a part is written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from emberharmony.arrow import is_bytes, is_text
from emberharmony.errors import DataError

_DIGITS: Final = 38  # of Delta's widest decimals

_STORED: Final[tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.DataType], pa.DataType | None]], ...]] = (
    (pt.is_dictionary, lambda kind: stored_type(kind.value_type)),
    (pt.is_null, lambda _: pa.string()),
    (pt.is_uint8, lambda _: pa.int16()),
    (pt.is_uint16, lambda _: pa.int32()),
    (pt.is_uint32, lambda _: pa.int64()),
    (pt.is_uint64, lambda _: pa.decimal128(20, 0)),
    (pt.is_float16, lambda _: pa.float32()),
    (lambda kind: pt.is_boolean(kind) or pt.is_integer(kind) or pt.is_floating(kind), lambda kind: kind),
    (is_text, lambda kind: pa.large_string() if pt.is_large_string(kind) else pa.string()),
    (is_bytes, lambda kind: pa.large_binary() if pt.is_large_binary(kind) else pa.binary()),
    (pt.is_timestamp, lambda kind: pa.timestamp("us", "UTC" if kind.tz else None)),
    (pt.is_date, lambda _: pa.date32()),
    (pt.is_decimal, lambda kind: _decimal(kind.precision - min(kind.scale, 0), max(kind.scale, 0))),
    (pt.is_map, lambda kind: _nested(pa.map_, kind.key_type, kind.item_type)),
    (pt.is_struct, lambda kind: _struct(kind)),
    (
        lambda kind: pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind),
        lambda kind: _nested(pa.list_, kind.value_type),
    ),
)


def stored_type(kind: pa.DataType, /) -> pa.DataType | None:
    """Return the type that columns of an Arrow type have in a Delta table; ``None`` if there is none for all of its values.

    Examples
    --------
    >>> [str(stored_type(kind)) for kind in (pa.timestamp("ns"), pa.uint64(), pa.dictionary(pa.int8(), pa.string()))]
    ['timestamp[us]', 'decimal128(20, 0)', 'string']
    >>> [stored_type(kind) for kind in (pa.time64("us"), pa.duration("s"), pa.decimal256(60, 0))]
    [None, None, None]
    """
    return next((stored(kind) for holds, stored in _STORED if holds(kind)), None)


def why_not_stored(kind: pa.DataType, /) -> str:
    """Return why there is no type for columns of an Arrow type.

    Examples
    --------
    >>> why_not_stored(pa.duration("s"))
    'Delta has no times of day and no lengths of time'
    """
    if pt.is_time(kind) or pt.is_duration(kind) or pt.is_interval(kind):
        return "Delta has no times of day and no lengths of time"
    if pt.is_decimal(kind):
        return f"its decimals have {_DIGITS} digits at most"
    return "Delta has no type for all of its values"


def stored(columns: pa.Table) -> pa.Table:
    """Return columns in the types that they have in a Delta table.

    Raises
    ------
    DataError
        If a value would be another one: none is rounded.
    """
    for i, field in enumerate(columns.schema):
        kind = stored_type(field.type)
        if kind is not None and kind != field.type:
            columns = columns.set_column(i, field.name, _converted(columns.column(i), kind, field.name))
    return columns


def _converted(values: pa.ChunkedArray, kind: pa.DataType, name: str) -> pa.ChunkedArray:
    if pt.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    try:
        return values.cast(kind)
    except pa.ArrowInvalid as error:
        raise DataError(
            f"Column {name!r} holds {_changed_value(values, kind)}, which a Delta table cannot hold exactly: its times are "
            f"microseconds, its dates whole days. Round the column in the source, do not carry it, or publish to "
            f"`sink.type: parquet`."
        ) from error


def _changed_value(values: pa.ChunkedArray, kind: pa.DataType) -> str:
    """The first value that comes back from a conversion as another one."""
    if pt.is_nested(values.type):
        return "a value"
    back = values.cast(kind, safe=False).cast(values.type, safe=False)
    row = max(pc.index(pc.not_equal(back, values), True).as_py(), 0)
    return str(values.slice(row, 1).cast(pa.string())[0].as_py())


def _decimal(precision: int, scale: int) -> pa.DataType | None:
    return pa.decimal128(precision, scale) if precision <= _DIGITS else None


def _nested(make: Callable[..., pa.DataType], *kinds: pa.DataType) -> pa.DataType | None:
    inner = [stored_type(kind) for kind in kinds]
    return None if None in inner else make(*inner)


def _struct(kind: pa.DataType) -> pa.DataType | None:
    inner = [(field.name, stored_type(field.type)) for field in kind]
    return None if any(stored is None for _, stored in inner) else pa.struct(inner)
