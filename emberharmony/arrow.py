"""Convert Arrow types and columns to the plain layouts that all Arrow kernels support."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from numpy.typing import NDArray

from emberharmony.typing import IntArray

Path = tuple[str | int, ...]
"""The way to a column in a nested one: the name of the outer column, then fields of structs and elements of lists."""

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


@dataclass(frozen=True)
class FlatColumn:
    """A column that features can be made of: a whole one, a field of a struct, or an element of a fixed-size list."""

    path: Path
    type: pa.DataType
    nullable: bool = True

    @cached_property
    def name(self) -> str:
        """The steps of the path, joined by underscores."""
        return "_".join(map(str, self.path))

    @property
    def field(self) -> pa.Field:
        """The column in a schema; metadata keep the path of a nested one."""
        metadata = {_PATH: json.dumps(self.path).encode()} if len(self.path) > 1 else None
        return pa.field(self.name, self.type, self.nullable, metadata)


_PATH = b"emberharmony.path"
"""Metadata of a field that comes from a nested column: its path, as JSON."""
OPAQUE = b"emberharmony.opaque"
"""Metadata of a field of texts or bytes that are no categories, such as JSON: the name of what they are."""


def flat_columns(schema: pa.Schema) -> list[FlatColumn]:
    """Return the columns of a schema with structs replaced by their fields, and fixed-size lists of numbers by their elements.

    Two columns may have one name: ``b`` in a struct ``a``, and a column ``a_b``.

    Examples
    --------
    >>> nested = pa.struct({"a": pa.int8(), "b": pa.list_(pa.float32(), 2)})
    >>> [column.name for column in flat_columns(pa.schema({"x": nested, "y": pa.list_(pa.int8())}))]
    ['x_a', 'x_b_0', 'x_b_1', 'y']
    """
    return [column for field in schema for column in _flat_columns(field, (), is_nullable=False)]


def path_of(field: pa.Field) -> Path:
    """Return the path of a column of a flat schema.

    Examples
    --------
    >>> path_of(FlatColumn(("x", "b", 1), pa.int8()).field), path_of(pa.field("y", pa.int8()))
    (('x', 'b', 1), ('y',))
    """
    stored = (field.metadata or {}).get(_PATH)
    return tuple(json.loads(stored)) if stored else (field.name,)


def flat_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema of `flat_columns`."""
    return pa.schema([column.field for column in flat_columns(schema)])


def outer_columns(schema: pa.Schema) -> dict[str, list[str]]:
    """Return the columns of a flat schema that come from each nested column, by the nested column's name.

    Examples
    --------
    >>> outer_columns(pa.schema([FlatColumn(("x", "b", i), pa.int8()).field for i in range(2)]))
    {'x': ['x_b_0', 'x_b_1'], 'x_b': ['x_b_0', 'x_b_1']}
    """
    inner: dict[str, list[str]] = {}
    for field in schema:
        for name in outer_names(path_of(field)):
            inner.setdefault(name, []).append(field.name)
    return inner


def struct_names(schema: pa.Schema) -> list[str]:
    """Return the names of the structs that columns of a flat schema come from.

    Examples
    --------
    >>> struct_names(pa.schema([FlatColumn(("x", "b", 0), pa.int8()).field]))
    ['x']
    """
    paths = map(path_of, schema)
    names = (name for path in paths for name, step in zip(outer_names(path), path[1:], strict=True) if isinstance(step, str))
    return list(dict.fromkeys(names))


def is_element(path: Path) -> bool:
    """Whether a path leads to an element of fixed-size lists.

    Examples
    --------
    >>> is_element(("x", "b", 1)), is_element(("x", "b"))
    (True, False)
    """
    return not all(isinstance(step, str) for step in path)


def outer_names(path: Path) -> list[str]:
    """Return the names of the nested columns that a column comes from, the outermost first.

    Examples
    --------
    >>> outer_names(("x", "b", 1))
    ['x', 'x_b']
    """
    return ["_".join(map(str, path[:end])) for end in range(1, len(path))]


def flat_values(column: pa.ChunkedArray, paths: Sequence[Path]) -> list[pa.ChunkedArray]:
    """Return the values of a nested column at paths that are relative to it.

    Where an outer value is null, so are the inner ones.

    Examples
    --------
    >>> type_ = pa.struct({"a": pa.int8(), "b": pa.list_(pa.float32(), 2)})
    >>> column = pa.array([{"a": 1, "b": [2.0, 3.0]}, None], type_)
    >>> [values.to_pylist() for values in flat_values(pa.chunked_array([column]), [("a",), ("b", 1)])]
    [[1, None], [3.0, None]]
    """
    type_ = plain_type(column.type)
    if not all(paths) or not pt.is_nested(column.type):
        column = plain(column)
    found: dict[Path, pa.ChunkedArray] = {(): column}
    inner: dict[str | int, list[Path]] = {}
    for path in filter(None, paths):
        inner.setdefault(path[0], []).append(path)
    if inner:
        steps = type_.names if pt.is_struct(type_) else range(type_.list_size)
        children = dict(zip(steps, column.flatten() if pt.is_struct(type_) else _elements(column), strict=True))
        for step, ways in inner.items():
            values = flat_values(children[step], [path[1:] for path in ways])
            found |= dict(zip(ways, values, strict=True))
    return [found[path] for path in paths]


def clash(*paths: Path) -> str:
    """Return what to say of columns that get the same name.

    Examples
    --------
    >>> clash(("a", "b"), ("a_b",))
    "'a.b' and 'a_b' are both called 'a_b' once structs are flattened. Rename one of them in the source"
    """
    names = " and ".join(repr(".".join(map(str, path))) for path in paths)
    flat = "_".join(map(str, paths[0]))
    return f"{names} are both called {flat!r} once structs are flattened. Rename one of them in the source"


def flat_table(table: pa.Table) -> pa.Table:
    """Return a table with the columns of `flat_columns`, in plain layouts.

    Raises
    ------
    ValueError
        If two columns get the same name.

    Examples
    --------
    >>> flat_table(pa.table({"x": [{"a": 1}, None], "y": [2, 3]})).to_pydict()
    {'x_a': [1, None], 'y': [2, 3]}
    """
    columns = flat_columns(plain_schema(table.schema))
    twice = [name for name, count in Counter(column.name for column in columns).items() if count > 1]
    if twice:
        raise ValueError(clash(*(column.path for column in columns if column.name == twice[0])))
    ways: dict[str, list[FlatColumn]] = {}
    for column in columns:
        ways.setdefault(str(column.path[0]), []).append(column)
    arrays = [a for name, inner in ways.items() for a in flat_values(table[name], [column.path[1:] for column in inner])]
    return pa.Table.from_arrays(arrays, schema=pa.schema([column.field for column in columns]))


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


def _flat_columns(field: pa.Field, outer: Path, *, is_nullable: bool) -> Iterator[FlatColumn]:
    path, is_nullable = (*outer, field.name), is_nullable or field.nullable
    if pt.is_struct(field.type) and field.type.num_fields:
        for child in field.type.fields:
            yield from _flat_columns(child, path, is_nullable=is_nullable)
    elif _is_vector(field.type):
        for i in range(field.type.list_size):
            yield from _flat_columns(_Element(i, field.type.value_type), path, is_nullable=True)
    else:
        yield FlatColumn(path, field.type, is_nullable)


@dataclass(frozen=True)
class _Element:
    """An element of a fixed-size list, as `_flat_columns` takes a field."""

    name: int
    type: pa.DataType
    nullable: bool = True


def _is_vector(type_: pa.DataType) -> bool:
    """Whether values are lists of numbers, of a fixed size, or lists of such lists."""
    return bool(
        pt.is_fixed_size_list(type_) and type_.list_size and (_is_number(type_.value_type) or _is_vector(type_.value_type))
    )


def _is_number(type_: pa.DataType) -> bool:
    return bool(pt.is_integer(type_) or pt.is_floating(type_) or pt.is_decimal(type_))


def _elements(column: pa.ChunkedArray) -> list[pa.ChunkedArray]:
    """Return the elements of fixed-size lists: the first of every row, the second of every row, …"""
    pieces = [_elements_of(chunk) for chunk in column.chunks]
    type_ = plain_type(column.type)
    return [pa.chunked_array([piece[i] for piece in pieces], type_.value_type) for i in range(type_.list_size)]


def _elements_of(lists: pa.FixedSizeListArray) -> list[pa.Array]:
    size = lists.type.list_size
    values = lists.values.slice(lists.offset * size, len(lists) * size)
    missing = np.repeat(lists.is_null().to_numpy(zero_copy_only=False), size) if lists.null_count else None
    if values.null_count:
        absent = values.is_null().to_numpy(zero_copy_only=False)
        missing = absent if missing is None else missing | absent
    if not (pt.is_integer(values.type) or pt.is_floating(values.type)):
        values = values if missing is None else pc.if_else(pa.array(missing), pa.scalar(None, values.type), values)
        return [values.take(pa.array(np.arange(i, len(values), size))) for i in range(size)]
    # One transposition: an element at a time would read every cache line once for each element of a list.
    dtype = np.dtype(values.type.to_pandas_dtype())
    flat = np.frombuffer(values.buffers()[1] or b"", dtype)[values.offset : values.offset + len(values)]
    rows = np.ascontiguousarray(flat.reshape(-1, size).T)
    masks = [None] * size if missing is None else np.ascontiguousarray(missing.reshape(-1, size).T)
    return [pa.array(row, values.type, mask=mask) for row, mask in zip(rows, masks, strict=True)]


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
