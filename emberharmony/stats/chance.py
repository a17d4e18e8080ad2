"""What chance alone does to shares and to the population stability index of few rows."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final

LEVEL: Final = 0.001
"""How often a slice without any drift goes beyond what these functions return."""
_HALVINGS: Final = 40


def psi_by_chance(n_bins: int, *, n_rows: int, n_training: int) -> float:
    """Return the population stability index that rows without drift exceed in one of 1,000 slices.

    Without drift, the index of `n_rows` against `n_training` rows over B bins is about ``1 / n_rows + 1 / n_training`` times a
    chi-square variable of B - 1 degrees of freedom [1]_. Its quantile is that of Wilson and Hilferty [2]_, at most 3 % above
    the exact one.

    Parameters
    ----------
    n_bins : int
        Bins with rows in either table, the one of missing values among them.
    n_rows, n_training : int
        Rows of the two tables.

    References
    ----------
    .. [1] B. Yurdakul, J. Naranjo, Statistical properties of the population stability index, Journal of Risk Model Validation
       14 (4), 2020.
    .. [2] E. B. Wilson, M. M. Hilferty, The distribution of chi-square, PNAS 17 (12), 1931.

    Examples
    --------
    >>> [round(psi_by_chance(10, n_rows=n, n_training=100_000), 3) for n in (3, 100, 10_000)]
    [9.354, 0.281, 0.003]
    """
    degrees = n_bins - 1
    if degrees < 1:
        return 0.0
    ninth = 2 / (9 * degrees)
    quantile = degrees * (1 - ninth + NormalDist().inv_cdf(1 - LEVEL) * math.sqrt(ninth)) ** 3
    return (1 / max(n_rows, 1) + 1 / max(n_training, 1)) * quantile


def most_by_chance(share: float, n_rows: int) -> float:
    """Return the share that `n_rows` rows exceed in at most one of 1,000 slices, if each row counts with probability `share`.

    It is the largest q whose Chernoff bound ``exp(-n KL(q, share))`` is not below that level [1]_, so it is never too small.

    References
    ----------
    .. [1] W. Hoeffding, Probability inequalities for sums of bounded random variables, Journal of the American Statistical
       Association 58 (301), 1963, theorem 1.

    Examples
    --------
    >>> [round(most_by_chance(0.02, n), 3) for n in (3, 100, 10_000)]
    [0.735, 0.091, 0.025]
    >>> most_by_chance(0.0, 3)
    0.0
    """
    if not 0 < share < 1 or not n_rows:
        return share if n_rows else 1.0
    low, high = share, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if n_rows * _divergence(middle, share) > -math.log(LEVEL):
            high = middle
        else:
            low = middle
    return high


def least_by_chance(share: float, n_rows: int) -> float:
    """Return the share that `n_rows` rows fall short of in at most one of 1,000 slices; see `most_by_chance`.

    Examples
    --------
    >>> least_by_chance(0.02, 100), round(least_by_chance(0.5, 100), 3)
    (0.0, 0.316)
    """
    return round(1 - most_by_chance(1 - share, n_rows), 12)


def smoothed_share(n_part: int, n_rows: int) -> float:
    """Estimate a share from counted rows; a half row more of either sort, so that none is impossible.

    Examples
    --------
    >>> smoothed_share(0, 9)
    0.05
    """
    return (n_part + 0.5) / (n_rows + 1)


def _divergence(q: float, p: float) -> float:
    """Kullback-Leibler divergence of two yes-or-no variables, q of at least p."""
    rest = (1 - q) * math.log((1 - q) / (1 - p)) if q < 1 else 0.0
    return q * math.log(q / p) + rest
