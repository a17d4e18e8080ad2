"""Plain layouts keep the values, in types that every kernel of Arrow takes; ticks keep the times, as integers."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.arrow import (
    flat_columns,
    flat_schema,
    flat_table,
    invalid_text,
    outer_columns,
    path_of,
    plain,
    plain_table,
    plain_type,
    struct_names,
    tick_resolution,
    tick_unit,
    ticks,
)

WORDS = ["a", None, "a", "ß"]
LAYOUTS = {
    "string_view": (pa.array(WORDS, pa.string_view()), pa.large_string(), WORDS),
    "binary_view": (pa.array([b"a", None], pa.binary_view()), pa.large_binary(), [b"a", None]),
    "dictionary of views": (
        pa.DictionaryArray.from_arrays(pa.array([0, None, 1], pa.int8()), pa.array(["a", "b"], pa.string_view())),
        pa.dictionary(pa.int8(), pa.large_string()),
        ["a", None, "b"],
    ),
    "dictionary of numbers": (
        pa.DictionaryArray.from_arrays(pa.array([1, None, 0], pa.int8()), pa.array([7, 9])),
        pa.dictionary(pa.int8(), pa.int64()),
        [9, None, 7],
    ),
    "dictionary of dates": (
        pa.DictionaryArray.from_arrays(pa.array([0, None], pa.int8()), pa.array([1], pa.int32()).cast(pa.date32())),
        pa.date32(),
        pa.array([1, None], pa.int32()).cast(pa.date32()).to_pylist(),
    ),
    "dictionary of structs": (
        pa.DictionaryArray.from_arrays(pa.array([0, None], pa.int8()), pa.array([{"a": 1}])),
        pa.struct({"a": pa.int64()}),
        [{"a": 1}, None],
    ),
    "run-end encoded": (pa.RunEndEncodedArray.from_arrays([2, 3], ["a", None]), pa.string(), ["a", "a", None]),
    "run-end encoded views": (
        pa.RunEndEncodedArray.from_arrays([2, 3], pa.array(["a", None], pa.string())),
        pa.string(),
        ["a", "a", None],
    ),
    "json": (pa.array(["[1]", None], pa.json_()), pa.string(), ["[1]", None]),
    "uuid": (pa.array([b"0" * 16, None], pa.uuid()), pa.binary(16), [b"0" * 16, None]),
    "views in lists": (pa.array([["a"], None], pa.list_(pa.string_view())), pa.list_(pa.large_string()), [["a"], None]),
    "list views": (pa.array([[1], None], pa.list_view(pa.int64())), pa.list_(pa.int64()), [[1], None]),
    "views in structs": (
        pa.array([{"a": "b"}, None], pa.struct({"a": pa.string_view()})),
        pa.struct({"a": pa.large_string()}),
        [{"a": "b"}, None],
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_that_kernels_lack(layout):
    array, type_, values = LAYOUTS[layout]
    column = plain(pa.chunked_array([array, array[:1]]))
    assert column.type == plain_type(array.type) == type_
    assert column.to_pylist() == [*values, values[0]]
    flags = pa.array([False] * (len(column) - 1) + [True])
    assert column.filter(flags).to_pylist() == values[:1]
    assert column.take(pa.array([len(column) - 1])).to_pylist() == values[:1]


@pytest.mark.parametrize(
    "array",
    [pa.array([1]), pa.array(["a"]), pa.array(["a"]).dictionary_encode(), pa.array([[1]]), pa.array([{"a": 1}]), pa.nulls(1)],
    ids=lambda array: str(array.type),
)
def test_plain_columns_are_not_copied(array):
    column = pa.chunked_array([array])
    assert plain(column) is column


def test_a_table_keeps_names_and_order():
    table = pa.table({"x": [1], "s": pa.array(["a"], pa.string_view()), "y": [2.0]})
    assert plain_table(table).schema == pa.schema({"x": pa.int64(), "s": pa.large_string(), "y": pa.float64()})


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())], ids=str)
@pytest.mark.parametrize("text", [b"caf\xe9", b"\xff", b"\xc3\xa9\xc3"])
def test_texts_that_are_not_utf8(type_, text):
    raw = pa.array([b"tea", None, "thé".encode(), text, b"\xfe"], pa.large_binary())
    words = raw.view(pa.large_string())
    if pa.types.is_dictionary(type_):
        column = pa.DictionaryArray.from_arrays(pa.array([0, 3, 2], pa.int32()), words.take(pa.array([0, 1, 2, 3])))
    else:
        column = raw.cast(pa.binary()).view(type_) if pa.types.is_string(type_) else words
    assert invalid_text(pa.chunked_array([column])) == text
    good = pc.utf8_upper(pa.array(["tea", None, "thé"]))
    assert invalid_text(pa.chunked_array([good])) is None


def test_texts_inside_of_nested_columns_are_checked_too():
    words = pa.array([b"\xff"]).view(pa.string())
    assert invalid_text(pa.chunked_array([pa.StructArray.from_arrays([words], ["a"])])) == b""
    assert invalid_text(pa.chunked_array([pa.array([{"a": "é"}])])) is None


@pytest.mark.parametrize(
    ("type_", "unit", "resolution", "expected"),
    [
        (pa.timestamp("ms"), "ms", 1, [1, 0, 3]),
        (pa.timestamp("ns", "UTC"), "ns", 1, [1, 0, 3]),
        (pa.date32(), "s", 86_400, [86_400, 0, 3 * 86_400]),
        (pa.date64(), "ms", 86_400_000, [86_400_000, 0, 3 * 86_400_000]),
    ],
    ids=str,
)
def test_ticks_and_nulls(type_, unit, resolution, expected):
    numbers = pa.array([1, None, 3], pa.int32() if pa.types.is_date32(type_) else pa.int64())
    if pa.types.is_date64(type_):
        numbers = pc.multiply(numbers, 86_400_000)
    numbers, missing, found = ticks(pa.chunked_array([numbers.cast(type_)]))
    assert (numbers.tolist(), missing.tolist(), found) == (expected, [False, True, False], unit)
    assert (tick_unit(type_), tick_resolution(type_)) == (unit, resolution)
    assert ticks(pa.chunked_array([[7]], pa.int64()).cast(pa.timestamp("s")))[1] is None


def test_a_column_of_the_type_null_has_no_ticks():
    numbers, missing, unit = ticks(pa.chunked_array([pa.nulls(2)]))
    assert (numbers.tolist(), missing.tolist(), unit) == ([0, 0], [True, True], "s")


# ---- nested columns -----------------------------------------------------------------------------------------------------

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
