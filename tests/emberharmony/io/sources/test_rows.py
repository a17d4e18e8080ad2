"""Rows cut to a chunk, numbered and put in order."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from emberharmony.features.columns import ROW_NUMBER
from emberharmony.io.sources.rows import is_sorted, rows_between, rows_of_times, sorted_rows

TABLE = pa.table({"t": pa.array([5, 3, None, 3, 9], pa.timestamp("s")), "x": [0, 1, 2, 3, 4]})


@pytest.mark.parametrize(("start", "stop", "found"), [(0, 100, [0, 1, 2, 3, 4]), (11, 13, [1, 2]), (0, 10, []), (15, 20, [])])
def test_rows_between(start, stop, found):
    rows = rows_between(TABLE, 10, start, stop)
    assert rows["x"].to_pylist() == found
    assert rows[ROW_NUMBER].to_pylist() == [10 + x for x in found]


def test_rows_of_times_leave_nulls_out():
    rows = rows_of_times(TABLE, 10, "t", 3, 9)
    assert rows[ROW_NUMBER].to_pylist() == [10, 11, 13]


def test_equal_times_stay_in_source_order():
    rows = sorted_rows(rows_of_times(TABLE, 0, "t", 0, 100), "t")
    assert rows["x"].to_pylist() == [1, 3, 0, 4]
    assert sorted_rows(rows, "t") is rows
    assert is_sorted(np.array([], np.int64))
    assert not is_sorted(np.array([2, 1]))
