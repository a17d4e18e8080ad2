"""The series of a sequence of rows: any cutting merges to the whole, which `itertools.groupby` counts."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from functools import reduce
from itertools import groupby, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.stats.series_span import SeriesSpan

LENGTHS = st.lists(st.integers(1, 7), max_size=12)


def span_of(series, begin, end, size):
    """The span of rows ``[begin, end)``; `series` has the number of each row's series, and times are row numbers."""
    rows = np.array(series[begin:end], np.int64)
    if not len(rows):
        return SeriesSpan(size=size)
    borders = np.flatnonzero(np.diff(rows)) + 1
    return SeriesSpan.of(len(rows), borders, size=size, first=(series[begin], begin), last=(series[end - 1], end - 1))


def merge(before, after):
    return before.merge(after, continues=before.n_rows > 0 and after.n_rows > 0 and before.last[0] == after.first[0])


@given(LENGTHS, st.lists(st.integers(0, 90), max_size=8), st.integers(1, 6))
def test_any_cutting_gives_the_same_series(lengths, cuts, size):
    series = [i for i, length in enumerate(lengths) for _ in range(length)]
    ends = [0, *sorted(min(cut, len(series)) for cut in cuts), len(series)]
    merged = reduce(merge, (span_of(series, begin, end, size) for begin, end in pairwise(ends)), SeriesSpan())
    whole = span_of(series, 0, len(series), size)
    assert merged == whole or not series
    found = [len(list(rows)) for _, rows in groupby(series)]
    assert (merged.n_rows, merged.n_series, merged.longest) == (sum(found), len(found), max(found, default=0))
    assert merged.n_shorter_than_window == sum(length < size for length in found)
    counts = Counter(length.bit_length() - 1 for length in found)
    assert list(merged.by_length) == [counts[i] for i in range(max(counts, default=-1) + 1)]
    assert SeriesSpan.from_json(json.loads(json.dumps(asdict(merged)))).inner == merged.inner
    assert (merged.first_rows, merged.last_rows) == ((found[0], found[-1]) if found else (0, 0))


@given(LENGTHS, LENGTHS, LENGTHS, st.integers(1, 6))
def test_merging_is_associative(first, second, third, size):
    series = [i for i, length in enumerate(first + second + third) for _ in range(length)]
    a, b, c = sum(first), sum(first + second), len(series)
    spans = [span_of(series, begin, end, size) for begin, end in ((0, a), (a, b), (b, c))]
    assert merge(merge(spans[0], spans[1]), spans[2]) == merge(spans[0], merge(spans[1], spans[2]))
