"""Nested columns become flat columns with the same values."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.nested import flat_columns, flat_schema, flat_table, outer_columns, path_of, struct_names

LEAVES = {
    pa.int16(): st.integers(-9, 9),
    pa.float32(): st.floats(width=32, allow_nan=False),
    pa.decimal128(5, 2): st.decimals(-99, 99, places=2),
    pa.bool_(): st.booleans(),
    pa.string_view(): st.text("abß", max_size=2),
    pa.timestamp("us"): st.datetimes(),
}


@st.composite
def nested_types(draw, depth=3):
    """A type of structs and vectors, and values of it."""
    shape = draw(st.sampled_from(["leaf", "struct", "vector"] if depth else ["leaf"]))
    if shape == "struct":
        names = draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=2, unique=True))
        fields = {name: draw(nested_types(depth - 1)) for name in names}
        values = st.fixed_dictionaries({name: values for name, (_, values) in fields.items()})
        return pa.struct({name: type_ for name, (type_, _) in fields.items()}), values | st.none()
    if shape == "vector":
        size, type_ = draw(st.integers(1, 3)), draw(st.sampled_from([pa.int16(), pa.float32(), pa.decimal128(5, 2)]))
        return pa.list_(type_, size), st.lists(LEAVES[type_] | st.none(), min_size=size, max_size=size) | st.none()
    type_ = draw(st.sampled_from(list(LEAVES)))
    return type_, LEAVES[type_] | st.none()


@given(st.data())
def test_nested_columns_become_flat(data):
    """Against a look-up of every value, row by row; also of slices and chunks."""
    type_, values = data.draw(nested_types())
    rows = data.draw(st.lists(values, min_size=1, max_size=6))
    column = pa.chunked_array([pa.array(rows[:2], type_), pa.array(rows[2:], type_)])
    table = pa.table({"c": column}).slice(data.draw(st.integers(0, 1)))
    found = flat_table(table)
    expected = {}
    for flat in flat_columns(table.schema):
        expected[flat.name] = []
        for value in table["c"].to_pylist():
            for step in flat.path[1:]:
                value = None if value is None else value[step]
            expected[flat.name].append(value)
    assert found.to_pydict() == expected
    assert found.schema.names == list(expected)
    assert [path_of(field) for field in found.schema] == [flat.path for flat in flat_columns(table.schema)]


def test_what_stays_as_it_is():
    types = [
        pa.list_(pa.int8()),
        pa.list_(pa.string(), 2),
        pa.map_(pa.string(), pa.int8()),
        pa.struct([]),
        pa.list_(pa.int8(), 0),
    ]
    schema = pa.schema([pa.field(f"c{i}", type_) for i, type_ in enumerate(types)])
    assert [(c.path, c.type) for c in flat_columns(schema)] == [((f.name,), f.type) for f in schema]
    assert flat_schema(schema) == schema
    assert (outer_columns(schema), struct_names(schema)) == ({}, [])


def test_structs_in_encodings():
    dictionary = pa.DictionaryArray.from_arrays(pa.array([1, 0, None]), pa.array([{"a": "x"}, {"a": None}]))
    assert flat_table(pa.table({"d": dictionary})).to_pydict() == {"d_a": [None, "x", None]}


def test_names_that_clash_once_structs_are_flat():
    with pytest.raises(ValueError, match=r"'g\.a' and 'g_a' are both called 'g_a' once structs are flattened"):
        flat_table(pa.table({"g": [{"a": 1}], "g_a": [2]}))
