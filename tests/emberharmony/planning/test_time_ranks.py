"""Times by rank: those of the sorted times, from the rows of few buckets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.errors import PlanError
from emberharmony.planning.chunks import TimeBucket, time_buckets
from emberharmony.planning.time_ranks import bucket_at_rank, times_in_buckets
from tests.emberharmony.planning.test_chunks import between, counter, times


@given(ticks=times, data=st.data(), max_rows=st.integers(1, 20))
def test_times_at_ranks(ticks, data, max_rows):
    buckets = list(time_buckets(counter(ticks), int(ticks.min()), int(ticks.max()), max_rows=max_rows))
    ranks = data.draw(st.lists(st.integers(0, len(ticks) - 1), max_size=3))
    asked = []

    def looked_at(ranges):
        asked.append([between(ticks)(*times) for times in ranges])
        return asked[-1]

    found = times_in_buckets([bucket_at_rank(buckets, rank) for rank in ranks], looked_at)
    assert found == np.sort(ticks)[ranks].tolist()
    assert len(asked) <= 1  # all together
    assert all(len(inside) <= max_rows for some in asked for inside in some)  # only the rows of these buckets


def test_times_that_buckets_tell_are_not_read():
    def looked_at(ranges):
        raise AssertionError(ranges)

    buckets = [TimeBucket(3, 4, 2), TimeBucket(10, 11, 5)]
    assert times_in_buckets([bucket_at_rank(buckets, rank) for rank in (1, 2, 6)], looked_at) == [3, 10, 10]


def test_no_row_at_a_rank():
    for buckets, rank in (([], 0), ([TimeBucket(0, 1, 5)], 5), ([TimeBucket(0, 1, 5)], -1)):
        with pytest.raises(PlanError, match=f"no row at rank {rank}"):
            bucket_at_rank(buckets, rank)
