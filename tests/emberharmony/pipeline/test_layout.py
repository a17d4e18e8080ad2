"""Rows that are stored in the job's order are read as they lie; all others are counted by time."""

import numpy as np
import pytest

from emberharmony.features.columns import ColumnSpec
from emberharmony.io.sources.parquet.source import ParquetSource
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.pipeline.layout import (
    empty_layout,
    groups_in_order,
    is_stored_in_order,
    sorted_layout,
    stored_layout,
)
from tests.jobs import small_table, write_table

BY_TIME = ColumnSpec(time="t")


def source_of(tmp_path, order):
    table = small_table(200, order=order)
    return table, ParquetSource(ParquetSourceSpec(str(write_table(table, tmp_path / f"{order}.parquet", group_rows=20))))


@pytest.mark.parametrize("chunk_rows", [7, 20, 64, 1000])
def test_both_layouts_of_sorted_rows_agree(tmp_path, chunk_rows):
    table, source = source_of(tmp_path, "sorted")
    groups = groups_in_order(source, "t")
    assert is_stored_in_order(source, groups, "t", chunk_rows)
    stored = stored_layout(source, groups, "t", chunk_rows)
    sorted_ = sorted_layout(source, BY_TIME, chunk_rows)
    assert (stored.n_rows, sorted_.n_rows) == (200, 200)
    times = np.sort(table["t"].cast("int64").to_numpy())
    ranks = [0, 19, 20, 137, 199]
    assert stored.times_at_ranks(ranks) == sorted_.times_at_ranks(ranks) == times[ranks].tolist()
    assert max(chunk.n_rows for chunk in stored.chunks) <= chunk_rows
    assert all(chunk.times is None for chunk in stored.chunks)
    assert all(chunk.times is not None for chunk in sorted_.chunks)
    assert (stored.in_order, sorted_.in_order) == (True, False)


def test_rows_in_another_order_are_not_read_as_they_lie(tmp_path):
    _, source = source_of(tmp_path, "shuffled")
    assert groups_in_order(source, "t") is None
    assert not is_stored_in_order(source, None, "t", 1000)
    assert groups_in_order(source, None).tolist() == [20] * 10


def test_no_rows_are_one_chunk():
    layout = empty_layout()
    assert (layout.n_rows, len(layout.chunks), layout.in_order) == (0, 1, True)
