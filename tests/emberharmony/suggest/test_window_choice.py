"""Windows that fit, against counts by hand."""

import numpy as np
import pyarrow as pa
import pytest

from emberharmony.suggest.feature_rules import Roles
from emberharmony.suggest.table_sample import TableSample
from emberharmony.suggest.window_choice import SeriesLengths, choose_windows, series_lengths


@pytest.mark.parametrize(
    ("train", "splits", "size", "strides"),
    [
        ([80], [80, 10, 10], 5, (1, 3, 5)),
        ([80], [80, 4, 10], 4, (1, 3, 5)),
        ([80], [80, 1, 10], 5, ()),
        ([10, 10], [20, 5, 5], 5, (1, 3, 5)),
        ([8, 8], [16, 5, 5], 4, (1, 3)),
        ([1] * 50, [50, 5, 5], 5, ()),
        ([], [0, 0, 0], 5, ()),
    ],
)
def test_size_and_strides(train, splits, size, strides):
    chosen = choose_windows(SeriesLengths(train, splits, is_estimate=False))
    assert (chosen.size, chosen.strides) == (size, strides)


def test_lengths_of_a_whole_table():
    hours = np.datetime64("2024-01-01T00", "s") + np.repeat(np.arange(10), 2) * np.timedelta64(3600, "s")
    rows = pa.table({"t": hours[::-1], "s": ["a", "b"] * 10})
    lengths = series_lengths(TableSample(rows.schema, 20, rows), Roles("t", ("s",)))
    assert (sorted(lengths.train), list(lengths.splits)) == ([8, 8], [16, 2, 2])
    lengths = series_lengths(TableSample(rows.schema, 20, rows), Roles())
    assert (list(lengths.train), list(lengths.splits)) == ([16], [16, 2, 2])


def test_lengths_of_a_large_table_are_estimated():
    rows = pa.table({"s": ["a", "b"] * 10})
    lengths = series_lengths(TableSample(rows.schema, 2_000, rows), Roles(None, ("s",)))
    assert (list(lengths.train), list(lengths.splits), lengths.is_estimate) == ([800, 800], [200], True)
