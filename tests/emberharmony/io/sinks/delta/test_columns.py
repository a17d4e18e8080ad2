"""Types of carried columns in Delta tables, which deltalake knows; and values that they cannot hold."""

from __future__ import annotations

import datetime as dt
import decimal

import deltalake
import pyarrow as pa
import pytest

from emberharmony.errors import DataError
from emberharmony.io.sinks.delta.columns import stored, stored_type, why_not_stored

UTC = dt.UTC
COLUMNS = {  # the column, its type in Delta's words, and its values where they are not the column's own
    "bool": (pa.array([True, None]), "boolean", None),
    "int8": (pa.array([-128, None], pa.int8()), "byte", None),
    "uint8": (pa.array([255, None], pa.uint8()), "short", None),
    "uint16": (pa.array([2**16 - 1, None], pa.uint16()), "integer", None),
    "uint32": (pa.array([2**32 - 1, None], pa.uint32()), "long", None),
    "uint64": (pa.array([2**64 - 1, None], pa.uint64()), "decimal(20,0)", [decimal.Decimal(2**64 - 1), None]),
    "half": (pa.array([0.5, None], pa.float16()), "float", None),
    "double": (pa.array([0.1, None]), "double", None),
    "text": (pa.array(["a", None]), "string", None),
    "view": (pa.array(["a", None], pa.string_view()), "string", None),
    "large": (pa.array(["a", None], pa.large_string()), "string", None),
    "category": (pa.array(["a", None]).dictionary_encode(), "string", None),
    "null": (pa.nulls(2), "string", None),
    "fixed": (pa.array([b"ab", None], pa.binary(2)), "binary", None),
    "ns": (
        pa.array([1_000, None], pa.timestamp("ns")),
        "timestamp_ntz",
        [dt.datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC).replace(tzinfo=None), None],
    ),
    "paris": (
        pa.array([1, None], pa.timestamp("s", "Europe/Paris")),
        "timestamp",
        [dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), None],
    ),
    "day": (pa.array([dt.date(2026, 1, 1), None], pa.date64()), "date", None),
    "wide": (pa.array([decimal.Decimal("1.5"), None], pa.decimal256(38, 2)), "decimal(38,2)", None),
    "list": (pa.array([[1.0, 2.0], None], pa.list_(pa.float16(), 2)), None, None),
    "struct": (pa.array([{"a": 1}, None], pa.struct([("a", pa.uint8())])), None, None),
    "map": (pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.uint8())), None, None),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_every_column_has_a_type_that_delta_has_and_keeps_its_values(name):
    column, kind, values = COLUMNS[name]
    found = stored(pa.table({name: column}))
    assert found.schema.field(name).type == stored_type(column.type)
    assert found[name].to_pylist() == (values or column.to_pylist())
    (field,) = deltalake.Schema.from_arrow(found.schema).fields
    assert kind is None or field.type.to_json() == f'"{kind}"'


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (pa.time64("us"), "times of day"),
        (pa.duration("s"), "lengths of time"),
        (pa.month_day_nano_interval(), "lengths of time"),
        (pa.decimal256(39, 0), "38 digits"),
        (pa.decimal128(38, -1), "38 digits"),
        (pa.list_(pa.duration("s")), "no type"),
        (pa.struct([("a", pa.time32("s"))]), "no type"),
    ],
)
def test_types_that_delta_lacks_are_known(kind, why):
    assert stored_type(kind) is None
    assert why in why_not_stored(kind)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (pa.chunked_array([[None, 1_000], [1_001]], pa.timestamp("ns")), "1970-01-01 00:00:00.000001001"),
        (pa.array([86_400_000, 1], pa.date64()), "1970-01-01"),
        (pa.array([[1_001]], pa.list_(pa.timestamp("ns"))), "a value"),
    ],
)
def test_a_value_that_would_be_rounded_is_refused(column, value):
    with pytest.raises(DataError, match=f"Column 't' holds {value}, .* cannot hold exactly"):
        stored(pa.table({"t": column}))


def test_columns_that_fit_are_not_copied():
    column = pa.array([1, 2])
    assert stored(pa.table({"x": column}))["x"].chunk(0).buffers()[1].address == column.buffers()[1].address
