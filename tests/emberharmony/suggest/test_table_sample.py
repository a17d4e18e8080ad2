"""Samples and their columns, against plain Python."""

import numpy as np
import pyarrow as pa
import pytest

from emberharmony.suggest.table_sample import MAX_ROWS, SampledColumn, TableSample, sample_rows


@pytest.mark.parametrize(
    "values",
    [
        pa.chunked_array([["b", "a"], [None, "b"]]),
        pa.chunked_array([pa.array(["b", "a", None, "b"]).dictionary_encode()]),
        pa.chunked_array([pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 2]), pa.array(["b", "a", "b"]))]),
        pa.chunked_array([[1, 2, None, 1]]),
    ],
)
def test_distinct_values_are_counted_whatever_the_encoding(values):
    column = SampledColumn("c", values)
    assert (column.n_rows, column.n_distinct, column.n_null) == (4, 2, 1)
    assert column.codes.tolist() == [0, 1, -1, 0]
    assert not column.is_constant
    assert not column.is_unique


def test_types_that_cannot_be_compared():
    column = SampledColumn("c", pa.chunked_array([pa.array([[1], None])]))
    assert column.n_distinct is None
    assert column.n_null == 1
    assert not column.is_unique


def test_groups_of_several_columns():
    rows = pa.table({"a": ["x", "x", "y", None, None], "b": [1, 1, 1, None, None]})
    groups = TableSample(rows.schema, 5, rows).groups(["a", "b"])
    assert [groups.tolist().index(g) for g in groups.tolist()] == [0, 0, 2, 3, 3]


def test_order_of_times():
    times = np.array(["2024-01-01", "2024-01-02", "NaT", "2024-01-02"], "datetime64[s]")
    assert SampledColumn("t", pa.chunked_array([pa.array(times)])).is_ascending
    assert not SampledColumn("t", pa.chunked_array([pa.array(times[::-1])])).is_ascending


def test_a_sample_is_bounded():
    assert sample_rows(8.0, 1) == MAX_ROWS
    assert sample_rows(2e9, 1) == 1


def test_columns_of_the_type_null():
    column = SampledColumn("c", pa.chunked_array([pa.nulls(3)]))
    assert (column.n_null, column.n_distinct, column.codes.tolist()) == (3, 0, [-1, -1, -1])
