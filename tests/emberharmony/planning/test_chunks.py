"""Chunk plans: every row in one chunk, none too large, whatever the table."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emberharmony.errors import PlanError
from emberharmony.planning import chunks as module
from emberharmony.planning.chunks import (
    LAST_TICK,
    Chunk,
    check_chunk_rows,
    count_in_buckets,
    cut_rows,
    cut_times,
    in_range,
    joined,
    time_buckets,
)
from emberharmony.planning.partitions import TimePartitions
from emberharmony.planning.time_ranks import bucket_at_rank, times_in_buckets


def counter(ticks, calls=None):
    """A source's `count_times` over times in memory."""

    def count(start, width, n_buckets):
        if calls is not None:
            calls.append(n_buckets)
        seen = ticks[(ticks >= start) & (ticks < start + width * n_buckets)].tolist()
        places = [(tick - start) // width for tick in seen]  # of Python's numbers: two times may be 2**63 apart
        return np.bincount(np.array(places, np.int64), minlength=n_buckets)

    return count


def between(ticks):
    return lambda start, stop: ticks[(ticks >= start) & (ticks < stop)]


times = st.one_of(
    st.lists(st.integers(-50, 50), min_size=1, max_size=80),
    st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=40),
    st.builds(lambda a, b: [*a, *b], st.lists(st.integers(0, 20), min_size=1), st.lists(st.integers(0, 10**15), min_size=1)),
).map(lambda values: np.array(values, np.int64))


@given(st.lists(st.integers(0, 50), max_size=20), st.integers(1, 60))
def test_row_chunks(group_rows, chunk_rows):
    chunks = cut_rows(group_rows, chunk_rows)
    assert [c.index for c in chunks] == list(range(len(chunks)))
    assert all(0 < c.n_rows <= chunk_rows and c.times is None for c in chunks)
    assert [c.first_row for c in chunks] == np.cumsum([0, *(c.n_rows for c in chunks)])[:-1].tolist()
    assert sum(c.n_rows for c in chunks) == sum(group_rows)
    # No two neighbours of whole groups would have fitted into one; pieces of a group are equal to a row.
    ends = set(np.cumsum([0, *group_rows]).tolist())
    for a, b in pairwise(chunks):
        if {a.first_row, b.first_row, b.first_row + b.n_rows} <= ends:
            first_group = next(
                (n for n, end in zip(group_rows, np.cumsum(group_rows), strict=True) if end > b.first_row and n), 0
            )
            assert a.n_rows + first_group > chunk_rows


def test_large_groups_are_cut_into_equal_pieces():
    assert [c.n_rows for c in cut_rows([10], 4)] == [3, 3, 4]
    assert [c.n_rows for c in cut_rows(np.array([1_000_000]), 300_000)] == [250_000] * 4


@pytest.mark.parametrize("n_buckets", [2, 3, 8, module.N_BUCKETS])
@given(ticks=times, max_rows=st.integers(1, 20))
def test_time_buckets(n_buckets, ticks, max_rows):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "N_BUCKETS", n_buckets)
        calls = []
        first, last = int(ticks.min()), int(ticks.max())
        buckets = list(time_buckets(counter(ticks, calls), first, last, max_rows=max_rows))
    assert sum(bucket.n_rows for bucket in buckets) == len(ticks)
    for bucket in buckets:
        assert bucket.n_rows == len(between(ticks)(bucket.start, bucket.stop)) > 0
        assert bucket.n_rows <= max_rows or bucket.stop - bucket.start == 1
    assert all(a.stop <= b.start for a, b in pairwise(buckets))
    assert max(calls) <= n_buckets  # memory of one pass


@given(ticks=times, chunk_rows=st.integers(2, 40))
def test_time_chunks(ticks, chunk_rows):
    buckets = list(time_buckets(counter(ticks), int(ticks.min()), int(ticks.max()), max_rows=max(chunk_rows // 2, 1)))
    chunks = cut_times(buckets, chunk_rows)
    assert [c.index for c in chunks] == list(range(len(chunks)))
    assert [c.first_row for c in chunks] == np.cumsum([0, *(c.n_rows for c in chunks)])[:-1].tolist()
    seen = [between(ticks)(*c.times) for c in chunks]
    assert [len(inside) for inside in seen] == [c.n_rows for c in chunks]
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.sort(ticks))
    assert all(a.times[1] <= b.times[0] for a, b in pairwise(chunks))
    for chunk, inside in zip(chunks, seen, strict=True):
        assert chunk.n_rows <= chunk_rows or len(np.unique(inside)) == 1  # rows of one time cannot be told apart
    assert len(chunks) <= 1 + 4 * len(ticks) / chunk_rows + 2 * sum(b.n_rows > chunk_rows // 2 for b in buckets)


def test_nothing_to_cut():
    assert cut_rows([], 5) == []
    assert cut_times([], 5) == []


def test_a_chunk_says_where_it_is():
    assert str(Chunk(3, 1000, 500)) == "chunk 3 (rows 1,000 to 1,500)"


@pytest.mark.parametrize("partitions", [None, TimePartitions("DAY")])
@example(ticks=np.array([2**62, -(2**62)]), max_rows=0, together=0, n_buckets=256)
@given(ticks=times, max_rows=st.integers(0, 20), together=st.integers(0, 40), n_buckets=st.sampled_from([256, 262_144]))
def test_buckets_counted_together_are_those_joined_afterwards(partitions, ticks, max_rows, together, n_buckets):
    """But for neighbours in different parts of a count, each 64th of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "N_BUCKETS", n_buckets)
        limits = {"max_rows": max_rows, "partitions": partitions}
        first, last = int(ticks.min()), int(ticks.max())
        fine = list(time_buckets(counter(ticks), first, last, **limits))
        coarse = list(time_buckets(counter(ticks), first, last, **limits, together=together))
    assert all(bucket.n_rows == len(between(ticks)(bucket.start, bucket.stop)) for bucket in coarse)
    starts = [bucket.start for bucket in fine]
    assert {bucket.start for bucket in coarse} <= {*starts}
    assert {bucket.stop for bucket in coarse} <= {bucket.stop for bucket in fine}
    assert sum(bucket.n_rows for bucket in coarse) == len(ticks)
    of = {bucket.start: bucket.partition for bucket in fine}
    for bucket in coarse:
        inside = [start for start in starts if bucket.start <= start < bucket.stop]
        assert {of[start] for start in inside} == {bucket.partition}
        assert len(inside) == 1 or bucket.n_rows <= together
    if not partitions and first > last - 4_000 and n_buckets == 262_144:  # one part holds them all
        assert coarse == list(joined(fine, max_rows=together))


def test_buckets_counted_together_end_with_their_partition():
    """One part of the count holds several days, of fewer rows than may be counted together."""
    day = 86_400_000_000
    ticks = np.arange(0, 900 * day, day // 50)
    limits = {"max_rows": 400, "partitions": TimePartitions("DAY")}
    buckets = list(time_buckets(counter(ticks), 0, int(ticks.max()), **limits, together=60))
    assert [(bucket.partition, bucket.n_rows) for bucket in buckets] == [(i * day, 50) for i in range(900)]


@given(ticks=times, max_rows=st.integers(0, 20), together=st.integers(0, 40))
def test_joined_buckets_hold_the_same_rows(ticks, max_rows, together):
    fine = list(time_buckets(counter(ticks), int(ticks.min()), int(ticks.max()), max_rows=max_rows))
    coarse = list(joined(fine, max_rows=together))
    assert sum(bucket.n_rows for bucket in coarse) == len(ticks)
    assert all(bucket.n_rows == len(between(ticks)(bucket.start, bucket.stop)) for bucket in coarse)
    assert all(
        a.stop <= b.start and a.n_rows + b.n_rows > together for a, b in pairwise(coarse) if a.n_rows <= together >= b.n_rows
    )
    assert {bucket for bucket in fine if bucket.n_rows > together} <= set(coarse)


def test_times_that_crowd_are_counted_in_a_few_passes():
    """Years of daily peaks, each over the limit: not a pass over the times for every one of them."""
    day = 86_400_000_000
    ticks = np.repeat(np.arange(2_000) * day, 50) + np.tile(np.arange(50) * 1_000_000, 2_000)
    calls = []
    buckets = list(time_buckets(counter(ticks, calls), 0, int(ticks.max()), max_rows=40))
    assert sum(bucket.n_rows for bucket in buckets) == len(ticks)
    assert max(bucket.n_rows for bucket in buckets) <= 40
    edges = np.array([(bucket.start, bucket.stop) for bucket in buckets])
    assert (edges[1:, 0] >= edges[:-1, 1]).all()
    assert len(calls) < 100


def test_a_date_is_not_cut():
    """One pass counts dates of any number of rows: nothing lies between two of them."""
    days = np.repeat(np.arange(3_650) * 86_400, 7)
    calls = []
    buckets = list(time_buckets(counter(days, calls), 0, int(days.max()), max_rows=5, resolution=86_400))
    assert [bucket.n_rows for bucket in buckets] == [7] * 3_650
    assert len(calls) == 1
    assert times_in_buckets([bucket_at_rank(buckets, 8)], lambda _: [], resolution=86_400) == [86_400]


@pytest.mark.parametrize(("granularity", "period"), [("HOUR", "h"), ("DAY", "D"), ("MONTH", "M"), ("YEAR", "Y")])
@given(data=st.data(), chunk_rows=st.integers(2, 40), n_buckets=st.sampled_from([2_048, module.N_BUCKETS]))
def test_chunks_begin_where_partitions_do(granularity, period, data, chunk_rows, n_buckets):
    """A chunk is whole partitions, or a piece of one."""
    reach = {"HOUR": 3, "DAY": 40, "MONTH": 900, "YEAR": 4_000}[granularity] * 86_400_000_000 // 24
    drawn = st.one_of(st.integers(-reach, reach), st.integers(0, reach // 40))
    ticks = np.array(data.draw(st.lists(drawn, min_size=1, max_size=80)), np.int64)
    partitions = TimePartitions(granularity)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "N_BUCKETS", n_buckets)
        limits = {"max_rows": max(chunk_rows // 2, 1), "partitions": partitions}
        fine = time_buckets(counter(ticks), int(ticks.min()), int(ticks.max()), **limits)
        chunks = cut_times(list(joined(fine, max_rows=chunk_rows // 4)), chunk_rows)
    seen = [between(ticks)(*chunk.times) for chunk in chunks]
    assert [len(inside) for inside in seen] == [chunk.n_rows for chunk in chunks]
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.sort(ticks))
    assert all(a.times[1] <= b.times[0] for a, b in pairwise(chunks))
    held = [set(pd.to_datetime(inside, unit="us").to_period(period)) for inside in seen]
    for own, inside in zip(held, seen, strict=True):
        assert len(inside) <= chunk_rows or len(np.unique(inside)) == 1
        sharing = [other for other in held if other & own]
        assert len(sharing) == 1 or all(len(other) == 1 for other in sharing)


def test_a_large_partition_is_cut_into_pieces_about_equal():
    day = 86_400_000_000
    ticks = np.concatenate([np.arange(1_050) * (day // 1_050), [day + 5], 2 * day + np.arange(300)])
    fine = time_buckets(counter(ticks), 0, int(ticks.max()), max_rows=100, partitions=TimePartitions("DAY"))
    assert [chunk.n_rows for chunk in cut_times(list(joined(fine, max_rows=10)), 1_000)] == [530, 520, 301]


def test_a_stray_time_far_away_costs_no_more_passes():
    """9999-12-31 means "never" in many tables: days are then too many to count each, but where rows crowd."""
    day = 86_400_000_000
    ticks = np.concatenate([np.arange(0, 900 * day, day // 50), [2_932_896 * day]])
    calls = []
    limits = {"max_rows": 40, "partitions": TimePartitions("DAY")}
    buckets = list(time_buckets(counter(ticks, calls), 0, int(ticks.max()), **limits))
    assert sum(bucket.n_rows for bucket in buckets) == len(ticks)
    assert all(bucket.start // day == (bucket.stop - 1) // day for bucket in buckets[:-1])
    assert len(calls) <= 3


ENDS = [-(2**63), -(2**63) + 1, -1, 0, 1, 2**62, LAST_TICK - 2, LAST_TICK - 1, LAST_TICK]


@pytest.mark.parametrize("n_buckets", [2, 3, 8])
@given(ticks=st.lists(st.sampled_from(ENDS), min_size=1, max_size=30), data=st.data())
def test_times_of_all_of_64_bits(n_buckets, ticks, data):
    """Differences of these overflow, and no range ends behind the last one."""
    ticks = np.array(sorted(ticks), np.int64)

    def count(start, width, n):
        exact = [sum(start + i * width <= int(t) < start + (i + 1) * width for t in ticks) for i in range(n)]
        counts = np.zeros(n, np.int64)
        count_in_buckets(counts, ticks, start, width)
        assert counts.tolist() == exact
        return counts

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "N_BUCKETS", n_buckets)
        buckets = list(time_buckets(count, int(ticks[0]), int(ticks[-1]), max_rows=2))
    seen = [ticks[in_range(ticks, bucket.start, bucket.stop)] for bucket in buckets]
    assert [len(inside) for inside in seen] == [bucket.n_rows for bucket in buckets]
    assert np.concatenate(seen).tolist() == ticks.tolist()
    rank = data.draw(st.integers(0, len(ticks) - 1))
    found = times_in_buckets([bucket_at_rank(buckets, rank)], lambda ranges: [ticks[in_range(ticks, *it)] for it in ranges])
    assert found == [ticks[rank]]


@pytest.mark.parametrize(
    ("chunk_rows", "n_rows", "enough"),
    [
        (1, 501, 2),
        (1, 4_000, 8),
        (7, 336_776, 674),
        (999, 10**6, 1_000),
        (1_000, 10**8 + 1, 1_001),
        (10**5, 10**11, 10**6),
        (1, 10**11, 10**6),
    ],
)
def test_absurd_numbers_of_chunks_are_refused(chunk_rows, n_rows, enough):
    with pytest.raises(PlanError, match=rf"^runtime\.chunk_rows: {chunk_rows:,} makes .* Set it to {enough:,} or more"):
        check_chunk_rows(chunk_rows, n_rows)
    check_chunk_rows(enough, n_rows)


@pytest.mark.parametrize(
    ("chunk_rows", "n_rows"), [(None, 10**12), (1, 1), (1, 500), (1, 0), (100, 50_000), (1_000, 10**8), (10**6, 10**11)]
)
def test_other_numbers_of_chunks_are_not(chunk_rows, n_rows):
    check_chunk_rows(chunk_rows, n_rows)
