"""Which windows there are: integers, against every window listed."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.windows import WindowSpec, n_windows, window_starts

small = st.integers(1, 12)


@given(small, small, st.integers(0, 70), st.lists(st.integers(0, 70), max_size=8))
def test_every_window_has_one_owner(size, stride, n_rows, cuts):
    listed = [p for p in range(n_rows) if p % stride == 0 and p + size <= n_rows]
    ends = [0, *sorted(min(cut, n_rows) for cut in cuts), n_rows]
    owned = [
        p for begin, end in itertools.pairwise(ends) for p in window_starts(size, stride, start=begin, stop=end, n_rows=n_rows)
    ]
    assert owned == listed
    assert n_windows(size, stride, n_rows) == len(listed)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"size": 0}, "at least 1 row, got size 0"),
        ({"strides": (1, 0)}, r"from 1 up, or an empty list for no windows; got \[1, 0\]"),
        ({"strides": (2, 2)}, r"given once, got \[2, 2\]"),
    ],
)
def test_no_windows(spec, message):
    with pytest.raises(ValueError, match=message):
        WindowSpec(**spec)


def test_halo():
    assert WindowSpec(size=5).halo == 4
    assert WindowSpec(size=1).halo == 0
