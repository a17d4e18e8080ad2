"""BigQuery's types and Arrow's: what a table's columns are read as, and what columns are written as."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from emberharmony.arrow import OPAQUE
from emberharmony.errors import DataError
from emberharmony.io.bigquery.column_types import why_not_written, written_as
from emberharmony.io.bigquery.connection import library
from emberharmony.io.sources.parquet.widths import SHORT_TEXT_BYTES, fixed_width
from emberharmony.nested import FlatColumn, Path, clash, path_of

TYPE_KEY: Final = b"bigquery_type"
"""Field metadata that keeps the column's own type, where Arrow has none for it."""

_STRUCTS: Final = ("RECORD", "STRUCT")
_OPAQUE: Final = ("GEOGRAPHY", "JSON", "INTERVAL", "RANGE")

_ARROW: Final[Mapping[str, pa.DataType]] = {
    "STRING": pa.string(),
    "BYTES": pa.binary(),
    "INT64": pa.int64(),
    "INTEGER": pa.int64(),
    "FLOAT64": pa.float64(),
    "FLOAT": pa.float64(),
    "BOOL": pa.bool_(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
    "DATETIME": pa.timestamp("us"),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "NUMERIC": pa.decimal128(38, 9),
    "BIGNUMERIC": pa.decimal256(76, 38),
    # Text on the wire, but no categories: as binary they are no feature, and are named as such when they are dropped.
    "GEOGRAPHY": pa.binary(),
    "JSON": pa.binary(),
    "INTERVAL": pa.binary(),
    "RANGE": pa.binary(),
}


def flat_fields(fields: Sequence[Any], /) -> list[pa.Field]:
    """Return the columns that a table of these `SchemaField`s is read as; those of a STRUCT are its fields, at any depth.

    Two columns may have one name, see `emberharmony.nested.flat_columns`.
    """
    return [column for field in fields for column in _flat_fields(field, (), is_nullable=False)]


def _flat_fields(field: Any, outer: Path, *, is_nullable: bool) -> Iterator[pa.Field]:
    path, is_nullable = (*outer, str(field.name)), is_nullable or field.mode != "REQUIRED"
    if str(field.field_type).upper() in _STRUCTS and field.mode != "REPEATED":
        for child in field.fields:
            yield from _flat_fields(child, path, is_nullable=is_nullable)
    else:
        found = _arrow_field(field)
        flat = FlatColumn(path, found.type, is_nullable).field
        yield flat.with_metadata((flat.metadata or {}) | found.metadata)


def _arrow_field(field: Any) -> pa.Field:
    kind = str(field.field_type).upper()
    if kind in _STRUCTS:
        arrow: pa.DataType = pa.struct([_arrow_field(child) for child in field.fields])
    elif kind in _ARROW:
        arrow = _ARROW[kind]
    else:
        raise DataError(f"Column {field.name!r} is of BigQuery type {kind}, which this version does not know.")
    if field.mode == "REPEATED":
        arrow = pa.list_(arrow)
    metadata = {TYPE_KEY: kind.encode()} | ({OPAQUE: kind.encode()} if kind in _OPAQUE else {})
    return pa.field(field.name, arrow, nullable=field.mode != "REQUIRED", metadata=metadata)


def clashes(columns: Sequence[pa.Field], /) -> dict[str, str]:
    """Return the names that several columns have once structs are flat, and what to say of them.

    Examples
    --------
    >>> list(clashes([pa.field("a", pa.int64()), pa.field("b", pa.int64()), pa.field("a", pa.string())]))
    ['a']
    """
    paths: dict[str, list[Path]] = {}
    for column in columns:
        paths.setdefault(column.name, []).append(path_of(column))
    return {name: clash(*found) for name, found in paths.items() if len(found) > 1}


def bigquery_type(field: pa.Field, /) -> str:
    """Return the BigQuery type of a column read from there."""
    return str((field.metadata or {}).get(TYPE_KEY, b"").decode())


def table_fields(schema: pa.Schema, names: Sequence[str], descriptions: Mapping[str, str]) -> list[Any]:
    """Return the `SchemaField`s to write columns of `schema` as, called `names`, in order.

    Raises
    ------
    DataError
        If a column has a type that these tables are not written with.
    """
    bigquery = library("google.cloud.bigquery")
    return [
        bigquery.SchemaField(
            name,
            _type_of(field),
            description=descriptions.get(field.name, "")[:1024] or None,
        )
        for field, name in zip(schema, names, strict=True)
    ]


def _type_of(field: pa.Field) -> str:
    written = written_as(field.type)
    if written is None:
        raise DataError(
            f"Column {field.name!r} is of type {field.type}, which is not written to BigQuery: {why_not_written(field.type)}."
        )
    return written.bigquery


def schema_text(fields: Sequence[Any], /) -> str:
    """Return a table's schema as a text, equal for equal schemas; part of a source's identity."""
    return json.dumps([_plain(field) for field in fields], sort_keys=True)


def schema_fields(text: str, /) -> list[Any]:
    """Return the `SchemaField`s that `schema_text` wrote."""
    return [library("google.cloud.bigquery").SchemaField.from_api_repr(field) for field in json.loads(text)]


def _plain(field: Any) -> dict[str, Any]:
    return {
        "name": field.name,
        "type": str(field.field_type).upper(),
        "mode": field.mode or "NULLABLE",
        "fields": [_plain(child) for child in field.fields],
    }


def bytes_per_row(columns: pa.Schema, table: Any, /) -> dict[str, float]:
    """Return the decoded bytes of a value of each of `columns`, by a table's metadata."""
    every = [fixed_width(column.type) for column in flat_fields(table.schema)]
    known = [max(width, 1.0) for width in every if width is not None]  # a BOOL takes a byte of what is told
    logical = (table.num_bytes or 0) / max(table.num_rows or 0, 1)
    # Bytes of a row that are not numbers are divided among its strings.
    rest = max(SHORT_TEXT_BYTES, (logical - sum(known)) / max(len(every) - len(known), 1) + 4.0)
    widths = {column.name: fixed_width(column.type) for column in columns}
    return {name: rest if width is None else max(width, 1.0) for name, width in widths.items()}
