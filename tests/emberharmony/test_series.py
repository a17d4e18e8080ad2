"""Segments of a series against the series as a whole."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.series import Segment, overlapping_segments

small = st.integers(1, 9)


def series_of(n_rows):
    return np.arange(2 * n_rows, dtype=np.float32).reshape(2, n_rows)


@given(size=small, stride=small, n_rows=st.integers(0, 50), cuts=st.lists(st.integers(0, 50), max_size=6))
def test_every_window_lies_in_one_segment(size, stride, n_rows, cuts):
    rows = series_of(n_rows)
    ends = [0, *sorted(min(cut, n_rows) for cut in cuts), n_rows]
    found = []
    for segment in overlapping_segments((rows[:, a:b] for a, b in itertools.pairwise(ends)), size - 1):
        np.testing.assert_array_equal(segment.block, rows[:, segment.start : segment.stop])
        found += segment.window_starts(size, stride)
    assert found == [p for p in range(0, n_rows, stride) if p + size <= n_rows]


@given(halo=st.integers(0, 8), cut=st.integers(0, 30))
def test_a_series_goes_on_where_it_stopped(halo, cut):
    rows = series_of(30)
    *_, last = overlapping_segments([rows[:, :cut]], halo)
    (segment,) = overlapping_segments([rows[:, cut:]], halo, before=last.last(halo))
    assert (segment.start, segment.stop) == (max(cut - halo, 0), 30)
    np.testing.assert_array_equal(segment.block, rows[:, segment.start :])


def test_last_rows():
    segment = Segment(7, series_of(5))
    assert (segment.last(2).start, segment.last(2).n_rows) == (10, 2)
    assert (segment.last(9).start, segment.last(9).n_rows) == (7, 5)
    assert segment.last(0).n_rows == 0
