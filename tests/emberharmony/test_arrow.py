"""Plain layouts keep the values, in types that every kernel of Arrow takes; ticks keep the times, as integers."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from emberharmony.arrow import invalid_text, plain, plain_table, plain_type, tick_resolution, tick_unit, ticks

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
