"""Convert Arrow types and columns to the plain layouts that all Arrow kernels support."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from numpy.typing import NDArray

from emberharmony.typing import IntArray

OPAQUE = b"emberharmony.opaque"
"""Metadata of a field of texts or bytes that are no categories, such as JSON: the name of what they are."""
TICKS_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
TICKS_PER_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}


def is_text(type_: pa.DataType) -> bool:
    """Whether a type is text, in any of Arrow's layouts."""
    return bool(pt.is_string(type_) or pt.is_large_string(type_) or pt.is_string_view(type_))


def text_columns(schema: pa.Schema) -> list[str]:
    """Return the names of the columns of texts or bytes of varying length, dictionary-encoded ones included."""
    return [field.name for field in schema if varies(field.type)]


def varies(type_: pa.DataType) -> bool:
    """Whether values are texts or bytes of varying length, dictionary-encoded or not."""
    type_ = type_.value_type if pt.is_dictionary(type_) else type_
    return is_text(type_) or (is_bytes(type_) and not pt.is_fixed_size_binary(type_))


def plain_type(type_: pa.DataType) -> pa.DataType:
    """Return the type that `plain` gives the values of a column.

    Views and run-end encodings become ordinary layouts; extension types become their storage type. A dictionary of texts,
    numbers or booleans stays a dictionary, because its values are categories. Any other dictionary (of times, for example) is
    only an encoding and is decoded.

    Examples
    --------
    >>> plain_type(pa.string_view()), plain_type(pa.dictionary(pa.int8(), pa.string_view()))
    (DataType(large_string), DictionaryType(dictionary<values=large_string, indices=int8, ordered=0>))
    >>> plain_type(pa.dictionary(pa.int8(), pa.date32())), plain_type(pa.json_())
    (DataType(date32[day]), DataType(string))
    """
    if isinstance(type_, pa.BaseExtensionType):
        return plain_type(type_.storage_type)
    if pt.is_run_end_encoded(type_):
        return plain_type(type_.value_type)
    if pt.is_string_view(type_):
        return pa.large_string()
    if pt.is_binary_view(type_):
        return pa.large_binary()
    if pt.is_dictionary(type_):
        values = plain_type(type_.value_type)
        return pa.dictionary(type_.index_type, values, type_.ordered) if is_category(values) else values
    return _plain_nested(type_)


def is_category(type_: pa.DataType) -> bool:
    """Whether values of a type can be categories: texts, numbers and booleans."""
    return bool(
        is_text(type_) or pt.is_boolean(type_) or pt.is_integer(type_) or pt.is_floating(type_) or pt.is_decimal(type_)
    )


def is_bytes(type_: pa.DataType) -> bool:
    """Whether a type is binary, in any of Arrow's layouts."""
    return bool(pt.is_binary(type_) or pt.is_large_binary(type_) or pt.is_binary_view(type_) or pt.is_fixed_size_binary(type_))


def holds_seconds(type_: pa.DataType) -> bool:
    """Whether values are durations or times of day: numbers of seconds.

    Examples
    --------
    >>> holds_seconds(pa.duration("ms")), holds_seconds(pa.time32("s")), holds_seconds(pa.timestamp("s"))
    (True, True, False)
    """
    return bool(pt.is_duration(type_) or pt.is_time(type_))


def holds_times(type_: pa.DataType) -> bool:
    """Whether values are timestamps or dates, in any encoding.

    Examples
    --------
    >>> holds_times(pa.dictionary(pa.int8(), pa.date32())), holds_times(pa.duration("s"))
    (True, False)
    """
    type_ = plain_type(type_)
    return bool(pt.is_timestamp(type_) or pt.is_date(type_))


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """Return a schema with the types of `plain`, without metadata."""
    return pa.schema([pa.field(field.name, plain_type(field.type), field.nullable) for field in schema])


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column in the layout of `plain_type`; a column that already has it is returned unchanged.

    Examples
    --------
    >>> plain(pa.chunked_array([pa.array(["a", None], pa.string_view())])).type
    DataType(large_string)
    """
    type_ = plain_type(column.type)
    return column if type_ == column.type else pa.chunked_array([_plain_array(chunk) for chunk in column.chunks], type_)


def plain_table(table: pa.Table) -> pa.Table:
    """Return a table with all columns in the layout of `plain_type`."""
    for i, field in enumerate(table.schema):
        if plain_type(field.type) != field.type:
            table = table.set_column(i, field.name, plain(table.column(i)))
    return table


def invalid_text(column: pa.ChunkedArray) -> bytes | None:
    r"""Return the first text of a column that is not valid UTF-8, or ``None``.

    Examples
    --------
    >>> latin = pa.array([b"tea", b"caf\xe9"]).view(pa.string())
    >>> invalid_text(pa.chunked_array([latin]))
    b'caf\xe9'
    """
    if pt.is_primitive(column.type):
        return None
    for chunk in column.chunks:
        if not _is_ascii(chunk):
            try:
                chunk.validate(full=True)
            except pa.ArrowInvalid:
                return next(_undecodable(chunk), b"")
    return None


def tick_unit(type_: pa.DataType) -> str:
    """Return the unit of a time column's ticks: that of a timestamp, seconds of 32-bit dates, milliseconds of 64-bit dates.

    Examples
    --------
    >>> tick_unit(pa.timestamp("us")), tick_unit(pa.date32()), tick_unit(pa.date64())
    ('us', 's', 'ms')
    """
    return "s" if pt.is_date32(type_) else "ms" if pt.is_date64(type_) else str(type_.unit)


def tick_resolution(type_: pa.DataType) -> int:
    """Return the smallest distance in ticks between two different times: a day for dates, else one tick."""
    return TICKS_PER_DAY[tick_unit(type_)] if pt.is_date(type_) else 1


def ticks_of(duration: timedelta, unit: str) -> int:
    """Return a duration in ticks of a unit.

    Examples
    --------
    >>> ticks_of(timedelta(hours=2), "ms")
    7200000
    """
    return round(duration.total_seconds() * TICKS_PER_DAY[unit] / TICKS_PER_DAY["s"])


def ticks(column: pa.Array | pa.ChunkedArray) -> tuple[IntArray, NDArray[np.bool_] | None, str]:
    """Return a time column as integers, a mask of its nulls (``None`` if it has none), and the integers' unit.

    The unit is `tick_unit` of the column's type. The integer of a null is 0. A column of the type null has no time in any row;
    its unit is seconds.

    Examples
    --------
    >>> ticks(pa.array([1, None], pa.date32()))
    (array([86400,     0]), array([False,  True]), 's')
    """
    if pt.is_null(column.type):
        column = column.cast(pa.timestamp("s"))
    unit = tick_unit(column.type)
    if pt.is_date(column.type):
        column = column.cast(pa.timestamp(unit))
    missing = pc.is_null(column).to_numpy(zero_copy_only=False) if column.null_count else None
    numbers = column.cast(pa.int64())
    if missing is not None:
        numbers = pc.fill_null(numbers, 0)
    return numbers.to_numpy(), missing, unit


def _plain_nested(type_: pa.DataType) -> pa.DataType:
    """Return a nested type with plain children; any other type is returned unchanged."""
    if pt.is_struct(type_):
        return pa.struct([pa.field(f.name, plain_type(f.type), f.nullable) for f in type_.fields])
    if pt.is_map(type_):
        return pa.map_(plain_type(type_.key_type), plain_type(type_.item_type), type_.keys_sorted)
    if pt.is_fixed_size_list(type_):
        return pa.list_(_plain_item(type_), type_.list_size)
    if pt.is_list(type_) or pt.is_list_view(type_):
        return pa.list_(_plain_item(type_))
    if pt.is_large_list(type_) or pt.is_large_list_view(type_):
        return pa.large_list(_plain_item(type_))
    return type_


def _plain_item(type_: pa.DataType) -> pa.Field:
    return type_.value_field.with_type(plain_type(type_.value_type))


def _plain_array(array: pa.Array) -> pa.Array:
    if isinstance(array, pa.ExtensionArray):
        return _plain_array(array.storage)
    if pt.is_run_end_encoded(array.type):
        return _plain_array(pc.run_end_decode(array))
    if pt.is_dictionary(array.type):
        values = _plain_array(array.dictionary)
        if not is_category(values.type):
            return values.take(array.indices)  # Arrow cannot decode a dictionary of structs by a cast
        return pa.DictionaryArray.from_arrays(array.indices, values, ordered=array.type.ordered)
    return array.cast(plain_type(array.type))


def _is_ascii(array: pa.Array) -> bool:
    """Whether a text column is pure ASCII; comparing bytes is several times faster than decoding them."""
    values = array.dictionary if pt.is_dictionary(array.type) else array
    if not (pt.is_string(values.type) or pt.is_large_string(values.type)):
        return False
    data = values.buffers()[2]
    return data is None or not len(data) or int(np.frombuffer(data, np.uint8).max()) < 128


def _undecodable(array: pa.Array) -> Iterator[bytes]:
    values = array.dictionary if pt.is_dictionary(array.type) else array
    if is_text(values.type):
        for value in values.cast(pa.large_binary() if pt.is_large_string(values.type) else pa.binary()):
            try:
                (value.as_py() or b"").decode()
            except UnicodeDecodeError:
                yield value.as_py()
