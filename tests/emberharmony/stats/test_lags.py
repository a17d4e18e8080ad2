"""Sums of products at every lag against sums of single products."""

from __future__ import annotations

import numpy as np
import pytest

from emberharmony.stats import lags
from emberharmony.stats.built import with_ones
from emberharmony.stats.lags import lagged_products, line_products, period_of, reaches_of, sharing_a_period


def test_strides_share_a_period_where_it_is_short():
    assert sharing_a_period([1, 3, 5], size=5, width=46) == [[1, 3, 5]]
    assert sharing_a_period([2, 7, 11, 13], size=5, width=46) == [[2, 7], [11], [13]]
    assert sharing_a_period([1, 3, 5], size=24, width=1000) == [[1], [3], [5]]  # 144 MB each would be 180 together
    assert period_of([1, 3, 5], 24) == 30


@pytest.mark.parametrize("block_rows", [10, 6_000])
@pytest.mark.parametrize("stride", [1, 2, 7])
def test_lines_of_series_and_whole_series(backend, monkeypatch, block_rows, stride):
    """The products of a series, and of the lines that it is cut into; and those of series between which rows are left out."""
    monkeypatch.setattr(lags, "_HOST_BLOCK_ROWS", block_rows)
    rows = np.random.default_rng(0).normal(size=(2, 70)).astype(np.float32)
    period = period_of([stride], 4)
    reaches = reaches_of(period, {stride: 0}, 4)

    def summed(*series):
        sums = {p: np.zeros((3, 3 * reach)) for p, reach in reaches.items()}
        for start, stop in series:
            x = np.concatenate([with_ones(rows[:, start:stop]), np.zeros((4, 3))])
            for number in range(stop - start):
                if (p := number % period) in sums:
                    sums[p] += np.outer(x[number], x[number : number + reaches[p]])
        return sums

    def assert_equal(found, correct):
        assert found.keys() == correct.keys()
        for p, total in correct.items():
            np.testing.assert_allclose(found[p], total, rtol=1e-12, atol=1e-12)

    assert_equal(lagged_products(rows, period, reaches), summed((0, 70)))
    assert_equal(
        line_products(rows, np.arange(0, 70, period), np.full(-(-70 // period), 70), period, reaches), summed((0, 70))
    )
    lines = [(start, stop) for a, stop in ((0, 9), (9, 10), (40, 70)) for start in range(a, stop, period)]
    starts, stops = np.array(lines).T
    assert_equal(line_products(rows, starts, stops, period, reaches), summed((0, 9), (9, 10), (40, 70)))
