"""Segments of series that come in blocks, against the rows as a whole."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.notebook.series_segments import numbered_segments
from emberharmony.series import Segment

small = st.integers(1, 9)


def block_of(n_rows):
    return np.arange(2 * n_rows, dtype=np.float32).reshape(2, n_rows)


@given(
    size=small,
    stride=small,
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=6),
    cuts=st.lists(st.integers(1, 99), max_size=6),
    n_before=st.integers(0, 12),
    continues=st.booleans(),
)
def test_every_window_of_every_series_lies_in_one_segment(size, stride, lengths, cuts, n_before, continues):
    """With rows before the blocks, which the first of the series continues or not."""
    n_before = n_before if continues else 0
    lengths = [n_before + lengths[0], *lengths[1:]]
    block, origins = block_of(sum(lengths)), np.concatenate([[0], np.cumsum(lengths)])
    ends = sorted({n_before, *(min(n_before + cut, sum(lengths)) for cut in cuts), sum(lengths)})
    begins = origins[1:-1] if n_before else origins[:-1]
    blocks = [(block[:, a:b], begins[(begins >= a) & (begins < b)] - a) for a, b in itertools.pairwise(ends)]
    kept = min(size - 1, n_before)
    other = Segment(3, block_of(size - 1))  # of a series that ends
    before = Segment(n_before - kept, block[:, n_before - kept : n_before]) if n_before else None if continues else other
    keys = []
    for segment in numbered_segments(blocks, size - 1, before=before):
        places = segment.window_starts(size, stride)
        found = segment.window_keys(places)
        for place, (series, first) in zip(places, found.T.tolist(), strict=True):
            begin = origins[series] + first
            np.testing.assert_array_equal(segment.block[:, place : place + size], block[:, begin : begin + size])
        keys += found.T.tolist()
    expected = [[i, p] for i, n in enumerate(lengths) for p in range(0, n - size + 1, stride)]
    assert keys == [key for key in expected if key[0] or key[1] + size > n_before]


def test_a_series_goes_on_where_it_stopped():
    rows = block_of(30)
    *_, last = numbered_segments([(rows[:, :11], np.array([0]))], 4)
    (segment,) = numbered_segments([(rows[:, 11:], np.array([], np.int64))], 4, before=last.last(4))
    assert (segment.start, segment.stop, segment.series) == (7, 30, 0)
    np.testing.assert_array_equal(segment.block, rows[:, 7:])
