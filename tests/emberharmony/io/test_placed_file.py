"""A file that keeps its place behaves as one in memory does."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from emberharmony.io.placed_file import PlacedFile

CONTENT = bytes(range(50))


class Bytes(PlacedFile):
    def _next(self, most):
        start = self._place
        self._place = max(start, min(len(CONTENT), start + most))
        return CONTENT[start : self._place]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("read"), st.integers(0, 60)),
            st.tuples(st.just("seek"), st.integers(0, 60), st.just(io.SEEK_SET)),
            st.tuples(st.just("seek"), st.integers(0, 60), st.sampled_from([io.SEEK_CUR, io.SEEK_END])),
        ),
        max_size=8,
    )
)
def test_as_a_file_in_memory(steps):
    ours, theirs = Bytes(len(CONTENT)), io.BytesIO(CONTENT)
    assert ours.readable()
    assert ours.seekable()
    for name, *arguments in steps:
        assert getattr(ours, name)(*arguments) == getattr(theirs, name)(*arguments)
        assert ours.tell() == theirs.tell()
