"""Nested columns made flat: fields of structs and elements of fixed-size lists as columns of their own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from emberharmony.arrow import plain, plain_schema, plain_type

Path = tuple[str | int, ...]
"""The way to a column in a nested one: the name of the outer column, then fields of structs and elements of lists."""


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
    if not any(paths):
        return [plain(column)] * len(paths)
    if not all(paths) or not pt.is_nested(column.type):
        column = plain(column)
    type_ = plain_type(column.type)
    found: dict[Path, pa.ChunkedArray] = {(): column}
    inner: dict[str | int, list[Path]] = {}
    for path in filter(None, paths):
        inner.setdefault(path[0], []).append(path)
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
