"""Gram matrices of the windows of one series, and of many short ones.

Sums of products at every lag count all rows of a series. They hold the complete windows, and the incomplete ones at both ends
of the series, padded with zeros. Those are subtracted: over many series, they are products of the first rows of each with
each other, and of its last rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from emberharmony import ops
from emberharmony.stats.built import add_gram_of_windows, gram_of_built, gram_of_matrix, with_ones
from emberharmony.stats.gathering import Gathering
from emberharmony.stats.lags import (
    add_gram_of_products,
    lagged_products,
    line_products,
    period_of,
    reaches_of,
    sharing_a_period,
)
from emberharmony.stats.places import Bounds, places_of_series
from emberharmony.typing import FeatureBlock, FloatArray, IntArray

Grams = Mapping[int, FloatArray]
"""By stride: arrays that results are added to."""

_LONG_STRIDE = 1_000  # windows so far apart are few, and are built
_MOST_BUILT = 64  # windows of a series
_TAILS_BYTES = 8 * 2**20  # of the tails of series, which are then parted into classes
_LEAST_TAILS = 1_000

# Measured, on one core. Only their ratios matter, and only for what is fast.
_FLOP_NS = 0.023
_GATHERED_NS = 3.0  # a number of a window
_LINE_NS = 1.3  # a number of a line
_SUBTRACTED_NS = 4.0  # a product of ends


def add_series(grams: Grams, rows: FeatureBlock, /, *, start: int, size: int) -> None:
    """Add the Gram matrices of the complete windows of one series, whose first row has the number `start`."""
    n_rows = rows.shape[1]
    phases = {stride: -start % stride for stride in grams}  # first row, within `rows`, of the first window
    many = [s for s in grams if s < _LONG_STRIDE and n_rows >= 4 * size]
    for s in grams:
        if s not in many:
            grams[s] += gram_of_built(rows, np.arange(phases[s], n_rows - size + 1, s), size)
    for sharing in sharing_a_period(many, size=size, width=rows.shape[0] + 1):
        period = period_of(sharing, size)
        products = lagged_products(rows, period, reaches_of(period, {s: phases[s] for s in sharing}, size))
        for s in sharing:
            add_gram_of_products(grams[s], products, period, phases[s], size, s)
        del products  # which may take twice the memory of a matrix
        for s in sharing:
            _subtract_incomplete(grams[s], rows, phases[s], size, s)


def add_many_series(grams: Grams, rows: FeatureBlock, bounds: Bounds, /, *, size: int) -> None:
    """Add the Gram matrices of the complete windows of series that all begin within `rows`."""
    lengths = bounds.stops - bounds.origins
    if not (lengths >= size).any():
        return
    for s in grams:
        if s >= _LONG_STRIDE:
            grams[s] += gram_of_built(rows, places_of_series(bounds.origins, bounds.stops, size, s), size)
    many = [s for s in grams if s < _LONG_STRIDE]
    width = rows.shape[0] + 1
    for sharing in sharing_a_period(many, size=size, width=width):
        some = {s: grams[s] for s in sharing}
        shortest = shortest_by_lags(sharing, size=size, width=width)
        is_short, is_long = (lengths >= size) & (lengths < shortest), lengths >= shortest
        _add_built(some, rows, bounds.origins[is_short], lengths[is_short], size)
        if is_long.any():
            _add_by_lags(some, rows, Bounds(bounds.origins[is_long], bounds.stops[is_long]), size)


def shortest_by_lags(strides: Sequence[int], *, size: int, width: int) -> int:
    """Return the rows of the shortest series whose products at every lag cost less than to build its windows.

    Examples
    --------
    >>> shortest_by_lags([1, 3, 5], size=5, width=46), shortest_by_lags([1, 3, 5], size=24, width=33)
    (9, 27)
    """
    period = period_of(strides, size)
    per_row = 2 * sum(reaches_of(period, dict.fromkeys(strides, 0), size).values()) / period * width**2 * _FLOP_NS
    ends = (period + size) * width * _LINE_NS + 2 * _windows_ns(size - 1, width)
    n_windows, n_built = 0, 0
    while n_windows < _MOST_BUILT:
        n_built += any(n_windows % s == 0 for s in strides)
        n_windows += 1
        if n_built * _windows_ns(size, width) > per_row * (n_windows + size - 1) + ends:
            break
    return n_windows + size - 1


def _windows_ns(size: int, width: int) -> float:
    """Time to gather one window and multiply it with itself."""
    return (size * width) ** 2 * _FLOP_NS + size * width * _GATHERED_NS


def _add_built(grams: Grams, rows: FeatureBlock, origins: IntArray, lengths: IntArray, size: int) -> None:
    """Build the windows of short series; a window of several strides is built once."""
    counts = lengths - size + 1
    numbers = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = np.repeat(origins, counts) + numbers
    of_strides = sum((numbers % s == 0).astype(np.int64) << i for i, s in enumerate(grams))
    for code in np.unique(of_strides)[np.unique(of_strides) > 0]:
        gram = gram_of_built(rows, starts[of_strides == code], size)
        for i, total in enumerate(grams.values()):
            if code >> i & 1:
                total += gram


def _add_by_lags(grams: Grams, rows: FeatureBlock, bounds: Bounds, size: int) -> None:
    """Add products at every lag over all rows of the series, less the incomplete windows at their ends."""
    origins, stops = bounds
    period = period_of([*grams], size)
    n_lines = -(-(stops - origins) // period)
    lines = np.arange(n_lines.sum()) - np.repeat(np.cumsum(n_lines) - n_lines, n_lines)
    reaches = reaches_of(period, dict.fromkeys(grams, 0), size)
    products = line_products(rows, np.repeat(origins, n_lines) + period * lines, np.repeat(stops, n_lines), period, reaches)
    for s, gram in grams.items():
        add_gram_of_products(gram, products, period, 0, size, s)
    del products
    width, halo = rows.shape[0] + 1, size - 1
    if not halo:
        return
    heads = _by_position(gram_of_built(rows, origins, halo), halo)
    for s, gram in grams.items():
        subtract_heads(_by_position(gram, size), heads, s)
    del heads
    classes = (stops - origins) % math.lcm(*grams)
    if _shares_tails(len(origins), len(np.unique(classes)), len(grams), halo * width):
        _subtract_shared_tails(grams, rows, stops, classes, size)
        return
    for s, gram in grams.items():
        next_starts = stops - size - (stops - origins - size) % s + s  # after the last complete window
        subtract_tails(_by_position(gram, size), _by_position(gram_of_built(rows, next_starts, halo, stops=stops), halo), s)


def _shares_tails(n_series: int, n_classes: int, n_strides: int, width: int) -> bool:
    """Whether the strides should share the products of tails: those of each class of lengths, which each stride subtracts."""
    return (n_strides - 1) * n_series * _windows_ns(1, width) > n_strides * (n_classes - 1) * width**2 * _SUBTRACTED_NS


def _subtract_shared_tails(grams: Grams, rows: FeatureBlock, stops: IntArray, classes: IntArray, size: int) -> None:
    """Subtract the incomplete windows at the ends of series; those of the same length, modulo all strides, at once."""
    halo, width = size - 1, rows.shape[0] + 1
    gathering, step = Gathering(rows, halo), max(_TAILS_BYTES // (8 * halo * width), _LEAST_TAILS)
    for begin in range(0, len(stops), step):
        some = slice(begin, begin + step)
        tails = gathering.windows(stops[some] - halo, stops=stops[some])
        for of_class in np.unique(classes[some]):
            members = ops.take(tails, ops.asarray(np.flatnonzero(classes[some] == of_class)), axis=0)
            products = _by_position(gram_of_matrix(members), halo)
            for s, gram in grams.items():
                n_left = size - s + int(of_class - size) % s  # rows after the start of the last complete window, less a stride
                if n_left > 0:
                    subtract_tails(_by_position(gram, size), products[halo - n_left :, :, halo - n_left :], s)


def subtract_heads(gram: FloatArray, heads: FloatArray, stride: int) -> None:
    """Subtract from a Gram matrix the windows that begin before their series.

    A window that begins `n` strides before its series has the first rows of the series at the positions from ``n * stride``
    on. Its products are those of the first rows, so far down the diagonal.

    Parameters
    ----------
    gram : array of shape (size, width, size, width)
        Changed in place.
    heads : array of shape (size - 1, width, size - 1, width)
        Products of the first rows of the series.
    stride : int
        Rows between the starts of two windows.
    """
    n = len(heads) + 1 - stride
    if n > 0:
        sums = heads[:n, :, :n].copy()
        for i in range(stride, n):
            sums[i, :, stride:] += sums[i - stride, :, : n - stride]
        gram[stride:, :, stride:] -= sums


def subtract_tails(gram: FloatArray, tails: FloatArray, stride: int) -> None:
    """Subtract from a Gram matrix the windows that end after their series.

    Parameters
    ----------
    gram : array of shape (size, width, size, width)
        Changed in place.
    tails : array of shape (n, width, n, width)
        Products of the last rows of the series, from the start of the first such window on; `n` is less than `size`.
    stride : int
        Rows between the starts of two windows.
    """
    n, sums = len(tails), tails.copy()
    for i in reversed(range(n - stride)):
        sums[i, :, : n - stride] += sums[i + stride, :, stride:]
    gram[:n, :, :n] -= sums


def _by_position(gram: FloatArray, size: int) -> FloatArray:
    """View a Gram matrix by position in the window and feature, twice."""
    return gram.reshape(size, len(gram) // size, size, len(gram) // size)


def _subtract_incomplete(gram: FloatArray, rows: FeatureBlock, phase: int, size: int, stride: int) -> None:
    """Subtract the windows that reach past the first or last row of the series into the padding."""
    halo, n_rows = size - 1, rows.shape[1]
    padding = np.zeros((halo, rows.shape[0] + 1))
    before = np.concatenate([padding, with_ones(rows[:, :halo])])
    after = np.concatenate([with_ones(rows[:, n_rows - halo :]), padding])
    first_starts = [p + halo for p in range(-halo, 0) if (p - phase) % stride == 0]
    last_starts = [p - (n_rows - halo) for p in range(n_rows - halo, n_rows) if (p - phase) % stride == 0]
    add_gram_of_windows(gram, before, first_starts, size, sign=-1)
    add_gram_of_windows(gram, after, last_starts, size, sign=-1)
