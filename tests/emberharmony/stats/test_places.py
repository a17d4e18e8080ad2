"""Places of windows in a block of several series, against every row tried."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.stats.places import NO_BORDERS, series_bounds, window_places
from tests.series import places_by_trying, several_series

small = st.integers(1, 9)


@given(rows=several_series(), size=small, stride=small)
def test_windows_are_those_that_are_found_by_trying(rows, size, stride):
    found = window_places(size, stride, start=rows.start, n_rows=rows.n_rows, borders=rows.borders)
    assert found.dtype == np.int64
    assert found.tolist() == places_by_trying(rows, size, stride)


def test_a_million_series_take_no_loop():
    borders = np.arange(20, 20_000_000, 20)
    places = window_places(5, 3, start=0, n_rows=20_000_000, borders=borders)
    assert len(places) == 6 * 1_000_000
    assert places[-6:].tolist() == [19_999_980 + p for p in (0, 3, 6, 9, 12, 15)]


def test_bounds():
    origins, stops = series_bounds(4, 10, np.array([3, 7]))
    assert (origins.tolist(), stops.tolist()) == ([-4, 3, 7], [3, 7, 10])
    assert [part.tolist() for part in series_bounds(0, 5, NO_BORDERS)] == [[0], [5]]
