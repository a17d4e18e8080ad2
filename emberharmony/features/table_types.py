"""Types of one column in several tables: the type that holds the values of all, and what two tables differ in."""

from __future__ import annotations

from collections.abc import Callable, Container
from functools import partial

import pyarrow as pa
import pyarrow.types as pt

from emberharmony.arrow import TICKS_PER_SECOND, is_bytes, is_category, is_text

FROM_FOLDERS = {"emberharmony": "from folders"}
"""Metadata of a field whose values come from folder names, which do not tell a type."""

_UTC = frozenset({"utc", "etc/utc", "+00:00", "-00:00", "z", "zulu", "etc/zulu", "gmt", "etc/gmt", "uct", "etc/uct"})
_INTEGER_DIGITS = 20  # of uint64
_MOST_DIGITS = (38, 76)
"""Digits of decimals in 128 and in 256 bits."""


def type_differences(
    fitted: pa.Schema, schema: pa.Schema, *, optional: Container[str | None] = (), required: Container[str | None] = ()
) -> list[str]:
    """Return the differences: fitted columns that `schema` lacks, or whose values there may mean something else.

    A column of the type null matches any type, and types match that `common_type` has a type for.

    Parameters
    ----------
    fitted : pyarrow.Schema
        The columns that the state was fitted on.
    schema : pyarrow.Schema
        The table at hand; it may have more columns, in any order.
    optional : container of str
        Columns that may be missing.
    required : container of str
        Columns that may not be of the type null.

    Examples
    --------
    >>> type_differences(pa.schema({"x": pa.bool_(), "s": pa.string()}), pa.schema({"x": pa.float64()}))
    ["'x' is double (it was bool)", "'s' is missing (it was string)"]
    """
    differences = []
    for field in fitted:
        if field.name in schema.names:
            now = schema.field(field.name)
            fits = field.name not in required if pt.is_null(now.type) else _match(field.type, now.type)
            if not fits and not (_is_from_folders(now) and is_text(field.type)):
                differences.append(f"{field.name!r} is {now.type} (it was {field.type})")
        elif field.name not in optional:
            differences.append(f"{field.name!r} is missing (it was {field.type})")
    return differences


def common_type(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    """Return a type that holds the values of both types; ``None`` if there is none, or their values mean something else.

    Whole numbers and floats become float64, which holds whole numbers up to 2**53: values are checked when they are read.
    Bytes and texts become texts, and bytes have to be UTF-8.

    Examples
    --------
    >>> common_type(pa.int32(), pa.float32()), common_type(pa.timestamp("s", "UTC"), pa.timestamp("ns", "+00:00"))
    (DataType(double), TimestampType(timestamp[ns, tz=UTC]))
    >>> common_type(pa.string(), pa.int64()), common_type(pa.timestamp("s"), pa.timestamp("s", "UTC"))
    (None, None)
    """
    if a == b or pt.is_null(b):
        return a
    if pt.is_null(a):
        return b
    return next((found for rule in _RULES if (found := rule(a, b)) is not None), None)


def _match(fitted: pa.DataType, now: pa.DataType) -> bool:
    """Whether a state takes values of a type: categories and numbers in any encoding, and moments in any zone."""
    fitted, now = (t.value_type if pt.is_dictionary(t) else t for t in (fitted, now))
    if pt.is_timestamp(fitted) and pt.is_timestamp(now):
        return (fitted.tz is None) == (now.tz is None)
    return common_type(fitted, now) is not None


def _dictionaries(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    """Codes of any width, and values that one side does not encode."""
    if not (pt.is_dictionary(a) or pt.is_dictionary(b)):
        return None
    values = common_type(*(t.value_type if pt.is_dictionary(t) else t for t in (a, b)))
    return pa.dictionary(pa.int32(), values) if values is not None and is_category(values) else None


def _texts(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    if is_bytes(a) and is_bytes(b):
        return pa.large_binary()
    return pa.large_string() if all(is_text(t) or is_bytes(t) for t in (a, b)) else None


def _integers(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    if not (pt.is_integer(a) and pt.is_integer(b)):
        return None
    if pt.is_signed_integer(a) == pt.is_signed_integer(b):
        return max((a, b), key=lambda t: int(t.bit_width))
    signed, unsigned = (a, b) if pt.is_signed_integer(a) else (b, a)
    if signed.bit_width > unsigned.bit_width:
        return signed
    # No integer holds all of uint64 and int64: values are checked when they are read.
    return {8: pa.int16(), 16: pa.int32()}.get(unsigned.bit_width, pa.int64())


def _floats(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    if pt.is_floating(a) and pt.is_floating(b):
        return max((a, b), key=lambda t: int(t.bit_width))
    return pa.float64() if all(pt.is_floating(t) or pt.is_integer(t) for t in (a, b)) else None


def _decimals(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    if not all(pt.is_decimal(t) or pt.is_integer(t) for t in (a, b)):
        return None
    sizes = [(t.precision - t.scale, t.scale) if pt.is_decimal(t) else (_INTEGER_DIGITS, 0) for t in (a, b)]
    before, after = (max(digits) for digits in zip(*sizes, strict=True))
    if before + after > _MOST_DIGITS[1]:
        return None
    return (pa.decimal128 if before + after <= _MOST_DIGITS[0] else pa.decimal256)(before + after, after)


def _timestamps(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    if not (pt.is_timestamp(a) and pt.is_timestamp(b)):
        return None
    zones = {"UTC" if t.tz is not None and t.tz.casefold() in _UTC else t.tz for t in (a, b)}
    return pa.timestamp(_finer(a, b), zones.pop()) if len(zones) == 1 else None


def _dates(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    return pa.date32() if pt.is_date(a) and pt.is_date(b) else None


def _seconds(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    if pt.is_duration(a) and pt.is_duration(b):
        return pa.duration(_finer(a, b))
    if not (pt.is_time(a) and pt.is_time(b)):
        return None
    unit = _finer(a, b)
    return (pa.time32 if unit in ("s", "ms") else pa.time64)(unit)


def _lists(
    a: pa.DataType, b: pa.DataType, is_one: Callable[[pa.DataType], bool], of: Callable[..., pa.DataType]
) -> pa.DataType | None:
    item = common_type(a.value_type, b.value_type) if is_one(a) and is_one(b) else None
    return None if item is None else of(item)


def _finer(a: pa.DataType, b: pa.DataType) -> str:
    return max((str(a.unit), str(b.unit)), key=TICKS_PER_SECOND.__getitem__)


_RULES: tuple[Callable[[pa.DataType, pa.DataType], pa.DataType | None], ...] = (
    _dictionaries,
    _texts,
    _integers,
    _floats,
    _decimals,
    _timestamps,
    _dates,
    _seconds,
    partial(_lists, is_one=lambda t: pt.is_list(t) or pt.is_large_list(t), of=pa.large_list),
)


def _is_from_folders(field: pa.Field) -> bool:
    """Whether a column comes from folder names: there, ``1`` may be a number or a text."""
    return bool(field.metadata) and b"emberharmony" in field.metadata
