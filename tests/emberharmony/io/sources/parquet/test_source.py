"""Parquet tables: described by their footers, read chunk by chunk, in the job's order."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberharmony.planning.chunks import cut_rows, cut_times, time_buckets
from tests.jobs import parquet_source, small_table, write_table


def ticks_of(table):
    return table["t"].cast(pa.int64()).to_numpy()


def expected_rows(table, begin, end):
    """The table in time order, ties by row number, with row numbers."""
    order = np.argsort(ticks_of(table), kind="stable")[begin:end]
    return table.take(pa.array(order)), order


@pytest.mark.parametrize("order", ["sorted", "shuffled", "blocks", "ties"])
@settings(max_examples=25)
@given(
    n_rows=st.integers(1, 60),
    group_rows=st.integers(1, 30),
    files=st.integers(1, 4),
    chunk_rows=st.integers(1, 65),
)
def test_chunks_are_the_table_in_time_order(tmp_path_factory, order, n_rows, group_rows, files, chunk_rows):
    folder = tmp_path_factory.mktemp("parquet")
    table = small_table(n_rows, order=order)
    reader = parquet_source(write_table(table, folder / "t", group_rows=group_rows, files=min(files, n_rows)))
    groups = reader.row_groups("t")
    if groups is not None and reader.is_sorted_within("t", chunk_rows):
        chunks = cut_rows(groups, chunk_rows)
    else:
        span = reader.time_range("t")
        assert (span.first, span.last, span.n_null) == (ticks_of(table).min(), ticks_of(table).max(), 0)
        buckets = time_buckets(lambda *a: reader.count_times("t", *a), span.first, span.last, max_rows=max(chunk_rows // 2, 1))
        chunks = cut_times(list(buckets), chunk_rows)
    assert sum(chunk.n_rows for chunk in chunks) == n_rows
    if order == "sorted":
        assert groups is not None
    for chunk in chunks:
        got = reader.read(chunk, ["walk", "name"], time="t")
        rows, numbers = expected_rows(table, chunk.first_row, chunk.first_row + chunk.n_rows)
        assert got.column_names == ["row_number", "walk", "name"]
        np.testing.assert_array_equal(got["row_number"], numbers)
        assert got["name"].to_pylist() == rows["name"].to_pylist()
