"""Segments of one and of several series, against the rows as a whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.series import Segment, joined
from tests.series import places_by_trying, several_series

small = st.integers(1, 9)


def series_of(n_rows):
    return np.arange(2 * n_rows, dtype=np.float32).reshape(2, n_rows)


@given(rows=several_series(), size=small, stride=small, cuts=st.lists(st.integers(0, 99), max_size=6))
def test_segments_of_several_series_join_to_the_whole(rows, size, stride, cuts):
    block = series_of(rows.n_rows)
    parts = [Segment(start, block[:, a:b], borders=borders) for a, b, start, borders in rows.chunks(cuts)]
    for part, (_, b, _, _) in zip(parts, rows.chunks(cuts), strict=True):
        assert part.stop == rows.numbers()[b - 1] + 1
        last = part.last(size)
        numbers = rows.numbers()[b - last.n_rows : b]
        assert last.n_rows == min(size, part.n_rows - (part.borders[-1] if len(part.borders) else 0))
        assert np.arange(last.start, last.stop).tolist() == numbers.tolist()
        np.testing.assert_array_equal(last.block, block[:, b - last.n_rows : b])
    whole = joined(parts)
    assert (whole.start, whole.borders.tolist()) == (rows.start, rows.borders.tolist())
    np.testing.assert_array_equal(whole.block, block)
    assert whole.window_starts(size, stride).tolist() == places_by_trying(rows, size, stride)


def test_segments_that_do_not_adjoin_are_not_joined():
    with pytest.raises(ValueError, match="one ends at row 12, the next begins at 13"):
        joined([Segment(7, series_of(5)), Segment(13, series_of(5))])


def test_last_rows():
    segment = Segment(7, series_of(5))
    assert (segment.last(2).start, segment.last(2).n_rows) == (10, 2)
    assert (segment.last(9).start, segment.last(9).n_rows) == (7, 5)
    assert segment.last(0).n_rows == 0
