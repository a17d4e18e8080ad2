"""One type for a column of several tables, if there is one that loses nothing; and what a state's columns differ in."""

from __future__ import annotations

from decimal import Decimal
from itertools import product

import pyarrow as pa
import pytest

from emberharmony.features.table_types import FROM_FOLDERS, common_type, type_differences

FITTED = pa.schema({"x": pa.int32(), "s": pa.string(), "t": pa.timestamp("us", "UTC"), "y": pa.float64(), "b": pa.bool_()})


@pytest.mark.parametrize(
    "same",
    [
        {"x": pa.int64()},
        {"x": pa.float64()},  # as pandas has whole numbers with nulls
        {"x": pa.decimal128(5, 2)},
        {"y": pa.int64()},
        {"y": pa.float16()},
        {"s": pa.large_string()},
        {"s": pa.binary()},
        {"s": pa.dictionary(pa.int8(), pa.string())},
        {"t": pa.timestamp("ns", "Europe/Paris")},
        {"x": pa.null()},
        {"more": pa.list_(pa.int8())},
    ],
    ids=str,
)
def test_widths_units_and_encodings_do_not_matter(same):
    schema = {field.name: field.type for field in FITTED} | same
    assert type_differences(FITTED, pa.schema(schema)) == []


def test_other_values_are_named_with_both_types():
    now = pa.schema({"x": pa.string(), "s": pa.string(), "t": pa.timestamp("us"), "b": pa.int8()})
    found = type_differences(FITTED, now, optional={"y"})
    assert found == [
        "'x' is string (it was int32)",
        "'t' is timestamp[us] (it was timestamp[us, tz=UTC])",
        "'b' is int8 (it was bool)",
    ]
    assert type_differences(FITTED, FITTED.remove(3)) == ["'y' is missing (it was double)"]


def test_a_required_column_has_to_hold_values():
    nulls = FITTED.set(2, pa.field("t", pa.null()))
    assert type_differences(FITTED, nulls) == []
    assert len(type_differences(FITTED, nulls, required={"t"})) == 1


def test_numbers_in_folder_names_may_have_been_texts():
    schema = FITTED.set(1, pa.field("s", pa.int64(), metadata=FROM_FOLDERS))
    assert type_differences(FITTED, schema) == []


GROUPS = {
    "integers": [pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64()],
    "floats": [pa.float16(), pa.float32(), pa.float64()],
    "decimals": [pa.decimal32(5, 2), pa.decimal64(12, 4), pa.decimal128(20, 2), pa.decimal256(50, 10)],
    "decimals and integers": [pa.decimal128(5, 2), pa.int8(), pa.int64(), pa.uint64()],
    "texts": [
        pa.string(),
        pa.large_string(),
        pa.dictionary(pa.int8(), pa.string()),
        pa.dictionary(pa.int32(), pa.large_string()),
    ],
    "bytes": [pa.binary(), pa.large_binary(), pa.binary(2)],
    "moments": [pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in ("UTC", "+00:00", "Etc/UTC")],
    "local times": [pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")],
    "durations": [pa.duration(unit) for unit in ("s", "ms", "us", "ns")],
    "times of day": [pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")],
    "dates": [pa.date32(), pa.date64()],
    "lists": [pa.list_(pa.int8()), pa.large_list(pa.float64()), pa.list_(pa.int16())],
}
VALUES = {
    "integers": [0, 100, None],
    "floats": [0.5, -2.0, None],
    "decimals": [Decimal("999.99"), Decimal("-0.01"), None],
    "decimals and integers": [0, 99, None],
    "texts": ["a", "é", None],
    "bytes": [b"ab", b"\xff\x00", None],
    "lists": [[], [1, None], None],
}


def _values(group, type_):
    if group in ("moments", "local times", "durations", "times of day", "dates"):
        ticks = [0, 86_400_000 if group == "dates" and type_.bit_width == 64 else 1, None]
        return pa.array(ticks, pa.int32() if type_.bit_width == 32 else pa.int64()).cast(type_)
    if pa.types.is_dictionary(type_):
        return pa.array(VALUES[group]).cast(type_)
    return pa.array(VALUES[group], type_)


@pytest.mark.parametrize("group", GROUPS)
def test_the_common_type_holds_the_values_of_both(group):
    for a, b in product(GROUPS[group], repeat=2):
        wide = common_type(a, b)
        assert wide == common_type(b, a) or pa.types.is_list(wide) or pa.types.is_large_list(wide), (a, b)
        assert wide is not None, (a, b)
        assert common_type(a, a) == a
        assert common_type(a, pa.null()) == common_type(pa.null(), a) == a
        for type_ in (a, b):
            values = _values(group, type_)
            assert values.cast(wide).to_pylist() == values.to_pylist(), (type_, wide)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (pa.uint64(), pa.int8(), pa.int64()),
        (pa.uint32(), pa.int32(), pa.int64()),
        (pa.uint32(), pa.int64(), pa.int64()),
        (pa.int64(), pa.float32(), pa.float64()),
        (pa.float16(), pa.float32(), pa.float32()),
        (pa.string(), pa.binary(), pa.large_string()),
        (pa.dictionary(pa.int8(), pa.int64()), pa.int64(), pa.dictionary(pa.int32(), pa.int64())),
        (pa.timestamp("s", "Z"), pa.timestamp("ns", "GMT"), pa.timestamp("ns", "UTC")),
        (pa.timestamp("s", "+05:30"), pa.timestamp("ms", "+05:30"), pa.timestamp("ms", "+05:30")),
    ],
    ids=str,
)
def test_particular_types(a, b, expected):
    assert common_type(a, b) == common_type(b, a) == expected


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (pa.string(), pa.int64()),
        (pa.bool_(), pa.int8()),
        (pa.timestamp("s"), pa.timestamp("s", "UTC")),
        (pa.timestamp("s", "Europe/Paris"), pa.timestamp("s", "UTC")),
        (pa.timestamp("s"), pa.date32()),
        (pa.timestamp("s"), pa.int64()),
        (pa.duration("s"), pa.time32("s")),
        (pa.decimal128(10, 2), pa.float64()),
        (pa.decimal256(76, 0), pa.decimal256(76, 76)),
        (pa.list_(pa.int8()), pa.int8()),
        (pa.list_(pa.int8()), pa.list_(pa.string())),
        (pa.dictionary(pa.int8(), pa.string()), pa.int64()),
    ],
    ids=str,
)
def test_types_whose_values_mean_something_else(a, b):
    assert common_type(a, b) is common_type(b, a) is None
