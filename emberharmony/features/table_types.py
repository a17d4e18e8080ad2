"""Compare the types of a table's columns with those that a state was fitted on."""

from __future__ import annotations

from collections.abc import Container

import pyarrow as pa
import pyarrow.types as pt

from emberharmony.arrow import is_text

FROM_FOLDERS = {"emberharmony": "from folders"}
"""Metadata of a field whose values come from folder names, which do not tell a type."""


def type_differences(
    fitted: pa.Schema, schema: pa.Schema, *, optional: Container[str | None] = (), required: Container[str | None] = ()
) -> list[str]:
    """Return the differences: fitted columns that `schema` lacks, or that hold another family of types there.

    A column of the type null matches any type.

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
    >>> type_differences(pa.schema({"x": pa.int32(), "s": pa.string()}), pa.schema({"x": pa.float64()}))
    ["'x' is double (it was int32)", "'s' is missing (it was string)"]
    """
    differences = []
    for field in fitted:
        if field.name in schema.names:
            now = schema.field(field.name)
            if pt.is_null(now.type) and field.name not in required:
                continue
            if family(now.type) != family(field.type) and not (_is_from_folders(now) and is_text(field.type)):
                differences.append(f"{field.name!r} is {now.type} (it was {field.type})")
        elif field.name not in optional:
            differences.append(f"{field.name!r} is missing (it was {field.type})")
    return differences


def family(type_: pa.DataType) -> str:
    """Return the family of a type: width, unit and encoding do not matter.

    Examples
    --------
    >>> family(pa.int8()), family(pa.large_string()), family(pa.timestamp("ns", "UTC"))
    ('integer', 'string', 'timestamp with a zone')
    """
    if pt.is_dictionary(type_):
        type_ = type_.value_type
    if is_text(type_):
        return "string"
    if pt.is_integer(type_):
        return "integer"
    if pt.is_floating(type_):
        return "floating"
    if pt.is_timestamp(type_):
        return "timestamp with a zone" if type_.tz else "timestamp"
    for name, is_one in {"date": pt.is_date, "decimal": pt.is_decimal}.items():
        if is_one(type_):
            return name
    return str(type_)


def _is_from_folders(field: pa.Field) -> bool:
    """Whether a column comes from folder names: there, ``1`` may be a number or a text."""
    return bool(field.metadata) and b"emberharmony" in field.metadata
