"""Differences between a fitted table's types and another table's: only those that change values count."""

from __future__ import annotations

import pyarrow as pa
import pytest

from emberharmony.features.table_types import FROM_FOLDERS, family, type_differences

FITTED = pa.schema({"x": pa.int32(), "s": pa.string(), "t": pa.timestamp("us", "UTC"), "y": pa.float64()})


@pytest.mark.parametrize(
    "same",
    [
        {"x": pa.int64()},
        {"s": pa.large_string()},
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
    found = type_differences(FITTED, pa.schema({"x": pa.float64(), "s": pa.string(), "t": pa.timestamp("us")}), optional={"y"})
    assert found == ["'x' is double (it was int32)", "'t' is timestamp[us] (it was timestamp[us, tz=UTC])"]
    assert type_differences(FITTED, FITTED.remove(3)) == ["'y' is missing (it was double)"]


def test_a_required_column_has_to_hold_values():
    nulls = FITTED.set(2, pa.field("t", pa.null()))
    assert type_differences(FITTED, nulls) == []
    assert len(type_differences(FITTED, nulls, required={"t"})) == 1


def test_numbers_in_folder_names_may_have_been_texts():
    schema = FITTED.set(1, pa.field("s", pa.int64(), metadata=FROM_FOLDERS))
    assert type_differences(FITTED, schema) == []
    assert family(pa.decimal128(5, 2)) == family(pa.decimal256(50, 1)) == "decimal"
