"""Keys of entities, against the equality of Python values: equal exactly where values are, in any encoding and chunking."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.stats.entity_keys import entity_keys, value_changes, value_codes

TEXTS = ["a", "b", "", "None", "null", "a\0", "12345678", "123456789", "é" * 9, None]
WHOLE = {pa.int8(): 7, pa.int16(): 15, pa.int32(): 31, pa.int64(): 63, pa.uint8(): 8, pa.uint16(): 16, pa.uint32(): 32}
VALUES = [
    (pa.string(), TEXTS),
    (pa.large_string(), TEXTS),
    (pa.dictionary(pa.int8(), pa.string()), TEXTS),
    (pa.dictionary(pa.int32(), pa.large_string()), TEXTS),
    (pa.dictionary(pa.int32(), pa.int64()), [3, -1, 2**40, None]),
    (pa.dictionary(pa.int8(), pa.bool_()), [True, False, None]),
    *((type_, [0, 1, 2**bits - 1, None]) for type_, bits in WHOLE.items()),
    *((type_, [-(2**bits), -1, 0, None]) for type_, bits in WHOLE.items() if pa.types.is_signed_integer(type_)),
    (pa.uint64(), [0, 1, 2**63 - 1, 2**63, 2**64 - 1, None]),
    (pa.bool_(), [True, False, None]),
    (pa.date32(), [dt.date(1969, 12, 31), dt.date(1970, 1, 1), dt.date(2024, 2, 29), None]),
    (pa.date64(), [dt.date(1969, 12, 31), dt.date(1970, 1, 1), None]),
    (pa.timestamp("us", tz="UTC"), [dt.datetime(1900, 1, 1, tzinfo=dt.UTC), dt.datetime(2024, 1, 1, tzinfo=dt.UTC), None]),
    (pa.timestamp("s"), [dt.datetime.fromisoformat("1900-01-01"), dt.datetime.fromisoformat("2024-01-01"), None]),
    (pa.decimal128(20, 2), [Decimal("0.01"), Decimal("-0.01"), Decimal("123456789012345678.00"), None]),
    (pa.decimal256(50, 0), [Decimal(10) ** 49, Decimal(0), None]),
]  # fmt: skip
IDS = [f"{type_}-{i}" for i, (type_, _) in enumerate(VALUES)]


def chunked(values, type_, cuts=()):
    """A column whose chunks are slices with offsets, of their own dictionaries if the type has them."""
    ends = [0, *sorted(min(cut, len(values)) for cut in cuts), len(values)]
    chunks = []
    for begin, end in pairwise(ends):
        padded = [values[0] if values else None, *values[begin:end], None]
        plain = pa.array(padded, type_.value_type if pa.types.is_dictionary(type_) else type_)
        chunks.append(
            (plain.dictionary_encode().cast(type_) if pa.types.is_dictionary(type_) else plain).slice(1, end - begin)
        )
    return pa.chunked_array(chunks, type_)


def first_places(values):
    """The place of the first equal value, by comparing one with another."""
    return [values.index(value) for value in values]


@pytest.mark.parametrize(("type_", "values"), VALUES, ids=IDS)
def test_equal_keys_exactly_where_values_are_equal(type_, values):
    rows = [values[i] for i in np.random.default_rng(0).integers(0, len(values), 40)]
    column = chunked(rows, type_, cuts=(7, 7, 30))
    assert column.to_pylist() == chunked(rows, type_).to_pylist()
    for numbers in (entity_keys([column]), value_codes(column)):
        assert numbers.dtype == np.int64
        assert numbers.shape == (40,)
        assert first_places(numbers.tolist()) == first_places(rows)
    assert abs(entity_keys([column])).max() <= 2**62


@pytest.mark.parametrize(("type_", "values"), VALUES, ids=IDS)
def test_no_rows(type_, values):
    for column in (pa.chunked_array([], type_), chunked(values, type_).slice(0, 0)):
        assert entity_keys([column]).tolist() == []
        assert entity_keys([column, column]).dtype == np.int64
        assert value_codes(column).tolist() == []


@pytest.mark.parametrize(("type_", "values"), VALUES, ids=IDS)
def test_all_null(type_, values):
    column = chunked([None, None, None], type_, cuts=(2,))
    assert len(set(entity_keys([column]).tolist())) == 1
    assert value_codes(column).tolist() == [-1, -1, -1]
    assert entity_keys([column])[0] == entity_keys([chunked([values[0], None], type_)])[1]


@given(values=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=30), cuts=st.lists(st.integers(0, 30), max_size=4))
def test_the_chunking_and_the_encoding_of_texts_do_not_matter(values, cuts):
    expected = entity_keys([chunked(values, pa.string())]).tolist()
    dictionaries = [pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.int64(), pa.large_string())]
    for type_ in (pa.string(), pa.large_string(), *dictionaries):
        column = chunked(values, type_, cuts)
        assert entity_keys([column]).tolist() == expected
        assert first_places(value_codes(column).tolist()) == first_places(values)


@pytest.mark.parametrize("values", [[3, -1, 2**40, None, 3], [True, False, None, True, True]], ids=["int64", "bool"])
def test_a_dictionary_has_the_keys_of_its_values(values):
    plain = pa.array(values)
    column = chunked(values, pa.dictionary(pa.int32(), plain.type), cuts=(2,))
    assert entity_keys([column]).tolist() == entity_keys([pa.chunked_array([plain])]).tolist()


@pytest.mark.parametrize("type_", [*WHOLE, pa.uint64()], ids=str)
def test_the_width_of_a_whole_number_does_not_matter(type_):
    values = [0, 1, 127, None]
    assert entity_keys([chunked(values, type_)]).tolist() == entity_keys([chunked(values, pa.int64())]).tolist()


def test_a_dictionary_that_holds_a_value_twice_and_a_null():
    array = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None, 3], pa.int8()), pa.array(["a", "b", "a", None]))
    column = pa.chunked_array([array])
    for numbers in (entity_keys([column]), value_codes(column)):
        assert first_places(numbers.tolist()) == [0, 1, 0, 3, 3]


def test_columns_are_told_apart():
    first, second = pa.chunked_array([["a", "b", None, "ab", ""]]), pa.chunked_array([["b", "a", "", None, "ab"]])
    both, swapped = entity_keys([first, second]).tolist(), entity_keys([second, first]).tolist()
    pairs = list(zip(first.to_pylist(), second.to_pylist(), strict=True))
    assert first_places(both + swapped) == first_places(pairs + [pair[::-1] for pair in pairs])


def test_keys_are_spread_evenly():
    """Ranges of equal size hold about equally many of a million consecutive numbers, and of texts."""
    numbers = pa.array(np.arange(100_000))
    for column in (numbers, numbers.cast(pa.string())):
        keys = entity_keys([pa.chunked_array([column])])
        assert len(np.unique(keys)) == 100_000
        counts = np.bincount(((keys >> 57) + 32).astype(int), minlength=64)  # 64 ranges of [-2**62, 2**62)
        assert abs(counts - 100_000 / 64).max() < 6 * np.sqrt(100_000 / 64)


def test_keys_are_the_same_on_every_machine_and_in_every_release():
    """A run that another process resumes has to find the same chunks; computed here with Python's whole numbers."""

    def mixed(x):
        x = (x + 0x9E3779B97F4A7C15) % 2**64
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
        return x ^ x >> 31

    def of_value(value):
        if value is None:
            return 0x6E756C6C
        if isinstance(value, int):
            return mixed(value % 2**64)
        encoded = value.encode()
        hashed = mixed(len(encoded))
        for at in range(0, len(encoded), 8):
            hashed = mixed(hashed ^ int.from_bytes(encoded[at : at + 8], "little"))
        return hashed

    rows = [("a", 1), (None, -1), ("sensor 17", None), ("", 0), ("12345678", 2**31 - 1)]
    keys = entity_keys([chunked([row[0] for row in rows], pa.string()), chunked([row[1] for row in rows], pa.int32())])
    unsigned = [mixed(mixed(of_value(text)) ^ of_value(number)) for text, number in rows]
    assert keys.tolist() == [(x - 2**64 if x >= 2**63 else x) >> 1 for x in unsigned]


@pytest.mark.parametrize(("type_", "values"), VALUES, ids=IDS)
@pytest.mark.parametrize("n_rows", [0, 1, 2, 60])
def test_changes_are_where_neighbours_differ(type_, values, n_rows):
    rows = [values[i] for i in np.random.default_rng(1).integers(0, len(values), n_rows)]
    expected = [a != b for a, b in pairwise(rows)]
    assert value_changes(chunked(rows, type_, cuts=(1, 20, 21))).tolist() == expected
