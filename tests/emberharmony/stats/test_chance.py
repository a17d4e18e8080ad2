"""What chance does to few rows, against the exact distributions of SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from emberharmony.stats.chance import LEVEL, least_by_chance, most_by_chance, psi_by_chance, smoothed_share


@pytest.mark.parametrize("n_bins", [2, 3, 11, 102])
def test_the_index_is_that_of_a_chi_square_variable(n_bins):
    exact = stats.chi2.ppf(1 - LEVEL, n_bins - 1) * (1 / 50 + 1 / 4000)
    assert 0.999 * exact < psi_by_chance(n_bins, n_rows=50, n_training=4000) < 1.035 * exact


def test_one_bin_never_moves():
    assert psi_by_chance(1, n_rows=3, n_training=5) == psi_by_chance(0, n_rows=0, n_training=0) == 0.0


@pytest.mark.parametrize("share", [1e-6, 0.01, 0.3, 0.5, 0.99])
@pytest.mark.parametrize("n_rows", [1, 3, 40, 10_000])
def test_shares_beyond_it_are_as_rare_as_it_says(share, n_rows):
    most, least = most_by_chance(share, n_rows), least_by_chance(share, n_rows)
    counts = np.arange(n_rows + 1)
    odds = stats.binom.pmf(counts, n_rows, share)
    assert odds[counts > most * n_rows * (1 + 1e-9)].sum() <= LEVEL
    assert odds[counts < least * n_rows * (1 - 1e-9)].sum() <= LEVEL
    assert least <= share <= most


def test_more_rows_leave_less_to_chance():
    found = [most_by_chance(0.05, n) for n in (1, 10, 100, 10_000, 10**9)]
    assert found == sorted(found, reverse=True)
    assert found[-1] == pytest.approx(0.05, rel=1e-3)


def test_the_ends():
    assert (most_by_chance(0.0, 5), most_by_chance(1.0, 5), most_by_chance(0.2, 0)) == (0.0, 1.0, 1.0)
    assert (least_by_chance(0.0, 5), least_by_chance(1.0, 5), least_by_chance(0.2, 0)) == (0.0, 1.0, 0.0)
    assert smoothed_share(0, 0) == 0.5
