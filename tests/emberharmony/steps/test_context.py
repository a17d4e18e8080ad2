"""Windows that end in a slice, against every window tried."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.series import Segment
from emberharmony.steps.context import SliceStart, SliceWindows, context_of, joined_rows, without_context


@st.composite
def series(draw):
    """Several series: rows before the slice and in it, of each."""
    return draw(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(any), min_size=1, max_size=6))


@given(rows=series(), size=st.integers(1, 5), stride=st.integers(1, 4), horizon=st.integers(0, 2), cut=st.integers(0, 30))
def test_windows_of_any_part_of_the_rows(rows, size, stride, horizon, cut):
    inside = np.concatenate([[False] * before + [True] * after for before, after in rows]).astype(bool)
    number = np.concatenate([np.arange(before + after) for before, after in rows])
    ordinal = np.concatenate([np.arange(before + after) - before for before, after in rows])
    of = np.repeat(np.arange(len(rows)), [before + after for before, after in rows])
    reach = size + horizon
    wanted = [
        p
        for p in range(len(of) - reach + 1)
        if of[p] == of[p + reach - 1] and inside[p + size - 1] and (ordinal[p] % stride == 0)
    ]
    cut = min(cut, len(of) - 1)
    borders = np.flatnonzero(np.diff(of[cut:])) + 1
    segment = Segment(int(number[cut]), np.zeros((1, len(of) - cut), np.float32), borders=borders)
    windows = SliceWindows(segment, inside[cut:], before=max(int(ordinal[cut]), 0), size=size, reach=reach)
    assert (windows.starts(stride) + cut).tolist() == [p for p in wanted if p >= cut]
    short = [before < size - 1 and after for before, after in rows if after]
    begins = [np.flatnonzero((of == i) & inside)[0] for i, (_, after) in enumerate(rows) if after]
    assert windows.n_short(len(of) - cut) == sum(bool(s) for s, p in zip(short, begins, strict=True) if p >= cut)


@given(st.lists(st.booleans()))
def test_rows_are_put_together_as_they_were(inside):
    mask = np.array(inside, bool)
    rows = pa.table(
        {"x": np.arange(len(mask)), "d": pa.array([str(i % 3) for i in range(len(mask))], pa.string()).dictionary_encode()}
    )
    kept, context = without_context(rows, mask), context_of(rows, mask)
    assert kept["x"].to_pylist() == np.flatnonzero(mask).tolist()
    both = joined_rows(kept, context)
    assert both["x"].to_pylist() == list(range(len(mask)))
    assert both["d"].to_pylist() == rows["d"].to_pylist()


def test_where_a_slice_begins():
    rows = pa.table({"t": pa.array([1, 2, 3], pa.timestamp("s"))})
    assert SliceStart("t", 2).holds(rows).tolist() == [False, True, True]
