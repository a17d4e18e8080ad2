"""Segments of a series, and the columns of their windows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from emberharmony.features.columns import ROW_NUMBER, ColumnRoles
from emberharmony.steps.order import JobOrder
from emberharmony.steps.segments import TableSegment, no_rows, segments_by_split, window_columns

ROLES = ColumnRoles((), "t", "y", (), (), ("id",))
CARRIED = pa.table({ROW_NUMBER: np.arange(100, 110), "id": ["a"] * 10, "t": np.arange(10) * 60, "y": np.arange(10) / 4})
BLOCK = np.arange(20, dtype=np.float32).reshape(2, 10)


def test_a_chunk_is_parted_by_split():
    codes = np.array([0, 0, 0, 1, 1, -1, 2, 2, 2, 2], np.int8)
    found = segments_by_split(CARRIED, BLOCK, codes, {"train": 40, "validation": 0, "test": 5}, JobOrder())
    assert {name: (s.start, s.n_rows) for name, s in found.items()} == {"train": (40, 3), "validation": (0, 2), "test": (5, 4)}
    assert found["test"].carried[ROW_NUMBER].to_pylist() == [106, 107, 108, 109]
    np.testing.assert_array_equal(found["validation"].block, BLOCK[:, 3:5])


def test_a_chunk_within_one_split_is_not_copied():
    (only,) = segments_by_split(CARRIED, BLOCK, np.ones(10, np.int8), {"train": 7, "validation": 3}, JobOrder()).values()
    assert only.start == 3
    assert only.block is BLOCK
    assert segments_by_split(CARRIED, BLOCK, np.full(10, -1, np.int8), {"train": 0}, JobOrder()) == {}


def test_the_halo_follows_the_rows():
    segment = TableSegment(10, BLOCK[:, :6], CARRIED.slice(0, 6))
    following = TableSegment(16, BLOCK[:, 6:], CARRIED.slice(6))
    whole = segment.followed_by([following.head(3)])
    assert (whole.start, whole.n_rows) == (10, 9)
    np.testing.assert_array_equal(whole.block, BLOCK[:, :9])
    assert segment.followed_by([]) is segment


def test_heads_bring_the_borders_of_their_series():
    segment = TableSegment(10, BLOCK[:, :4], CARRIED.slice(0, 4), borders=np.array([3]))  # two series; the second goes on
    heads = [
        TableSegment(1, BLOCK[:, 4:7], CARRIED.slice(4, 3), borders=np.array([2])),
        TableSegment(0, BLOCK[:, 7:7], CARRIED.slice(7, 0)),
        TableSegment(0, BLOCK[:, 7:], CARRIED.slice(7), borders=np.array([1, 2])).head(2),
    ]
    whole = segment.followed_by(heads)
    assert (whole.start, whole.n_rows, whole.borders.tolist()) == (10, 9, [3, 6, 7, 8])
    assert whole.carried.equals(CARRIED.slice(0, 9))
    np.testing.assert_array_equal(whole.block, BLOCK[:, :9])
    with pytest.raises(ValueError, match="one ends at row 1, the next begins at 2"):
        segment.followed_by([TableSegment(2, BLOCK[:, 4:], CARRIED.slice(4))])


def test_a_segment_without_rows_is_followed_by_another_series():
    empty = TableSegment(7, BLOCK[:, :0], CARRIED.slice(0, 0))
    whole = empty.followed_by([TableSegment(0, BLOCK, CARRIED)])
    assert (whole.start, whole.n_rows, whole.borders.tolist()) == (0, 10, [])
    assert empty.followed_by([empty]).n_rows == 0


def test_windows_carry_their_first_and_last_rows_and_the_last_rows_target():
    table = window_columns(CARRIED, np.arange(1, 6, 2), ROLES, halo=3)
    assert table.to_pydict() == {
        "id": ["a", "a", "a"],
        "first_row": [101, 103, 105],
        "last_row": [104, 106, 108],
        "start_time": [60, 180, 300],
        "end_time": [240, 360, 480],
        "y": [1.0, 1.5, 2.0],
    }
    assert window_columns(CARRIED, np.arange(0), ColumnRoles((), None, None, (), ()), halo=3).num_rows == 0


def test_a_label_beyond_the_end_of_its_series_is_null():
    wanted = window_columns(CARRIED, np.arange(0, 7), ROLES, halo=2, label_after=2, borders=np.array([6]))["y"].to_pylist()
    targets = CARRIED["y"].to_pylist()
    assert wanted == [targets[4], targets[5], None, None, None, None, None]


def test_a_segment_without_rows_has_all_columns():
    empty = no_rows(pa.schema({"t": pa.timestamp("s"), "x": pa.int8()}), ["t"], n_features=3)
    assert empty.carried.schema.names == [ROW_NUMBER, "t"]
    assert empty.block.shape == (3, 0)
