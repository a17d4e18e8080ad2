"""The planned order of rows that a server arranges: every row in one chunk, however keys and times are spread."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberharmony.errors import DataError
from emberharmony.features.columns import ColumnSpec
from emberharmony.io.sources.base import KEY_BITS, RowOrder, SeriesTotals, TimeRange
from emberharmony.pipeline import server_layout as module
from emberharmony.pipeline.server_layout import is_arranged, server_layout
from emberharmony.planning.chunks import count_in_buckets, in_range
from emberharmony.stats.key_counts import KeyCounts

COLUMNS = ColumnSpec(time="t", entity="id")


class FakeServer:
    """A server of some rows, given by the key of their entity and their time; counts what it is asked."""

    is_arranged, arranging_setting = True, "source.place"

    def __init__(self, keys, times, *, n_null=0, n_entities_null=0, resolution=1):
        self.keys, self.times, self.resolution = np.asarray(keys, np.int64), np.asarray(times, np.int64), resolution
        self.n_null, self.n_entities_null, self.asked = n_null, n_entities_null, []

    def arrange(self, *_):
        raise AssertionError("The rows are arranged already.")

    arranges = arrange

    def order(self, time):
        assert time is None
        return RowOrder("key", then=RowOrder("t", self.resolution))

    def series_totals(self):
        span = TimeRange(int(self.times.min()), int(self.times.max()), self.n_null)
        return SeriesTotals(len(np.unique(self.keys)), self.n_entities_null, span)

    def count_keys(self, shift, *, inside=(), of_shift=0):
        self.asked.append(("keys", shift))
        some = np.isin(self.keys >> of_shift, inside) if inside else np.ones(len(self.keys), bool)
        found, counts = np.unique(self.keys[some] >> shift, return_counts=True)
        assert len(found) <= 2**module._RANGE_BITS, "the result is bounded"
        return KeyCounts(found, counts, shift)

    def count_ties(self, keys, start, width, n_buckets):
        self.asked.append(("ties", len(keys)))
        counts = {}
        for key in keys:
            of = np.zeros(n_buckets, np.int64)
            count_in_buckets(of, self.times[self.keys == key], start, width)
            counts[key] = KeyCounts(np.flatnonzero(of), of[of > 0])
            assert of.sum() == (self.keys == key).sum()
        return counts

    def within(self, column, start, stop):
        assert column == "key"
        some = (self.keys >= start) & (self.keys < stop)
        return FakeServer(self.keys[some], self.times[some], resolution=self.resolution)

    def time_range(self, time):
        raise AssertionError("The totals have it.")

    def count_times(self, time, start, width, n_buckets):
        self.asked.append(("times", n_buckets))
        counts = np.zeros(n_buckets, np.int64)
        count_in_buckets(counts, self.times, start, width)
        return counts

    def times_between(self, time, ranges):
        return [self.times[in_range(self.times, start, stop)] for start, stop in ranges]


def check(layout, server, chunk_rows):
    """Chunks hold what they are planned to hold, all rows once, and only rows of one entity and time exceed a chunk."""
    order = np.lexsort((server.times, server.keys))
    keys, times = server.keys[order], server.times[order]
    place = 0
    for chunk in layout.chunks:
        assert chunk.first_row == place
        inside = in_range(keys, *chunk.times)
        if chunk.ties:
            inside &= in_range(times, *chunk.ties)
        assert np.flatnonzero(inside).tolist() == list(chunk.ranks)
        if chunk.n_rows > chunk_rows:
            assert len({*zip(keys[inside], times[inside] // server.resolution, strict=True)}) == 1
        place += chunk.n_rows
    assert place == len(keys)
    ranks = [0, len(times) // 2, len(times) - 1]
    assert layout.times_at_ranks(ranks) == np.sort(times)[ranks].tolist()


def rows_of(lengths, seed, *, spread=2**KEY_BITS, n_times=10_000):
    rng = np.random.default_rng(seed)
    keys = np.repeat(rng.integers(0, spread, len(lengths)), lengths)
    return keys, rng.integers(-n_times, n_times, len(keys))


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 120), min_size=1, max_size=40),
    chunk_rows=st.integers(16, 200),
    spread=st.sampled_from([2**KEY_BITS, 100, 2**30]),
    n_times=st.sampled_from([1, 50, 2**40, 2**62]),
    n_ranges=st.sampled_from([2, 16, 2**21]),
    seed=st.integers(0, 99),
)
def test_every_row_is_in_one_chunk(lengths, chunk_rows, spread, n_times, n_ranges, seed):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_RANGES", n_ranges)
        patch.setattr(module, "_RANGE_BITS", max(n_ranges.bit_length() - 1, 6))  # more ranges than any chunk is exceeded by
        server = FakeServer(*rows_of(lengths, seed, spread=spread, n_times=n_times))
        check(server_layout(server, COLUMNS, chunk_rows), server, chunk_rows)


def test_few_entities_are_counted_by_one_statement():
    server = FakeServer(*rows_of([30] * 100, 1))
    check(server_layout(server, COLUMNS, 400), server, 400)
    assert [asked for asked in server.asked if asked[0] != "times"] == [("keys", 0)]


def test_many_entities_are_counted_in_ranges_of_keys(monkeypatch):
    """A large one among them is found in a few steps, each of one statement."""
    monkeypatch.setattr(module, "MAX_RANGES", 2**10)
    monkeypatch.setattr(module, "_RANGE_BITS", 10)
    server = FakeServer(*rows_of([1] * 3_000 + [500], 2))
    check(server_layout(server, COLUMNS, 200), server, 200)
    assert server.asked[:7] == [*(("keys", shift) for shift in (52, 42, 32, 22, 12, 2, 0))]
    assert server.asked[7] == ("ties", 1)


def test_rows_at_close_times_are_counted_on_their_own():
    """Of a series that spans a year, in which most rows fall into one second."""
    keys = np.repeat([5, 9], [4_000, 100])
    times = np.concatenate([np.arange(4_000) + 10**9, np.arange(100) * 3 * 10**11])
    server = FakeServer(keys, times)
    check(server_layout(server, COLUMNS, 100), server, 100)


def test_days_are_not_divided():
    days = np.repeat(np.arange(40), 30) * 86_400
    server = FakeServer(np.full(1_200, 7), days, resolution=86_400)
    layout = server_layout(server, COLUMNS, 100)
    check(layout, server, 100)
    assert all(chunk.ties and not chunk.ties[0] % 86_400 for chunk in layout.chunks)


def test_what_has_no_place():
    rows = rows_of([5, 5], 3)
    with pytest.raises(DataError, match="2 rows have no time in 't'"):
        server_layout(FakeServer(*rows, n_null=2), COLUMNS, 4)
    dropped = server_layout(FakeServer(*rows, n_null=2), ColumnSpec(time="t", entity="id", null_time="drop"), 4)
    assert (dropped.n_null, dropped.n_rows) == (2, 10)
    with pytest.raises(DataError, match="The entity id is null in every row"):
        server_layout(FakeServer(*rows, n_entities_null=10), COLUMNS, 4)


def test_other_sources_are_not_arranged():
    assert is_arranged(FakeServer([1], [1]))
    assert not is_arranged(object())
