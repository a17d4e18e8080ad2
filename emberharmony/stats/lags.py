"""Sums of products of rows at every lag within a window, and the Gram matrices that they make up.

Overlapping windows share rows. Block (i, j) of the Gram matrix of windows is the sum of the products ``x[p] x[p + j - i].T``
over all rows ``p`` that are at position `i` of a window; it depends only on the lag ``j - i`` and on ``i`` modulo the stride.
The rows are therefore cut into lines whose length (the period) is a multiple of the strides. For each place in a line, one
matrix product multiplies the rows at that place with the rows up to a window's length after them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import reduce

import numpy as np

from emberharmony import ops
from emberharmony.stats.gathering import Gathering
from emberharmony.stats.places import blocks_of
from emberharmony.stats.rows import on_host, rows_with_ones
from emberharmony.threads import each_block, n_partial_sums, threads_for
from emberharmony.typing import FeatureBlock, FloatArray, IntArray

MAX_PRODUCT_BYTES = 64 * 2**20
"""Bytes of the products of strides that share a period."""
_MAX_PERIOD = 64  # shared period: a series needs many lines for its products to be large
_HOST_BLOCK_ROWS = 6_000  # a block and its products stay in cache
_DEVICE_BLOCK_ROWS = 262_144

Products = dict[int, FloatArray]
"""By place in a line: arrays of shape ``(width, reach * width)``."""


def sharing_a_period(strides: Sequence[int], *, size: int, width: int) -> list[list[int]]:
    """Group strides whose common period is short, so that sharing products pays."""
    groups: list[list[int]] = []
    for stride in sorted(strides):
        for group in groups:
            period = period_of([*group, stride], size)
            if period <= _MAX_PERIOD and 8 * period * size * width**2 <= MAX_PRODUCT_BYTES:
                group.append(stride)
                break
        else:
            groups.append([stride])
    return groups


def period_of(strides: Sequence[int], size: int) -> int:
    """Return the smallest common multiple of the strides that is at least a window long.

    Examples
    --------
    >>> period_of([1, 3], 5), period_of([7], 5)
    (6, 7)
    """
    return math.lcm(*strides) * -(-size // math.lcm(*strides))


def reaches_of(period: int, phases: Mapping[int, int], size: int) -> dict[int, int]:
    """Return, for each row of a period that lies in a window, the most rows from it to the end of a window."""
    reaches = {p: max(size - (p - phase) % stride for stride, phase in phases.items()) for p in range(period)}
    return {p: reach for p, reach in reaches.items() if reach > 0}


def lagged_products(rows: FeatureBlock, period: int, reaches: Mapping[int, int]) -> Products:
    """Return the sums of ``x[p] [x[p], x[p + 1], ...].T`` over the rows at place `p` of their period.

    The arrays have shape ``(width, reaches[p] * width)``. The number of threads does not change the last bit.
    """
    n_rows, width, here = rows.shape[1], rows.shape[0] + 1, on_host()
    block_rows = max((_HOST_BLOCK_ROWS if here else _DEVICE_BLOCK_ROWS) // period, 4) * period

    def add(sums: Products, places: Sequence[int], blocks: range) -> None:
        for begin in (block * block_rows for block in blocks):
            n = min(block_rows, period * -(-(n_rows - begin) // period))
            # One period more than the rows of the block: its last rows are multiplied with the rows after it.
            flat = ops.reshape(rows_with_ones(rows[:, begin : begin + n + period], n + period), (-1,))
            for p in places:
                lines = ops.reshape(flat[p * width : (p + n) * width], (n // period, period * width))
                sums[p] += (lines[:, :width].mT @ lines[:, : reaches[p] * width]).numpy()

    n_threads = threads_for(12 * width * block_rows) if here else 1
    return _sums_over_blocks(add, -(-n_rows // block_rows), reaches, width, n_threads=n_threads)


def line_products(rows: FeatureBlock, starts: IntArray, stops: IntArray, period: int, reaches: Mapping[int, int]) -> Products:
    """Return the same sums over the rows of lines that are cut from many series.

    Parameters
    ----------
    rows : array of shape (n_features, n_rows)
        Rows of the series.
    starts : int64 array of shape (n_lines,)
        Places in `rows`, ascending, where the lines begin.
    stops : int64 array of shape (n_lines,)
        Places after the last row of each line's series.
    period, reaches : int, mapping
        Rows of a line, and for each place in it the rows that its row is multiplied with.
    """
    width, here, length = rows.shape[0] + 1, on_host(), period + max(reaches.values()) - 1
    block_rows = _HOST_BLOCK_ROWS if here else _DEVICE_BLOCK_ROWS
    every = blocks_of(starts, max(block_rows // period, 4), block_rows)

    def add(sums: Products, places: Sequence[int], blocks: range) -> None:
        gathering = Gathering(rows, length)
        for some in (every[block] for block in blocks):
            lengths = np.minimum(stops[some] - starts[some], period)
            order = np.argsort(-lengths, kind="stable")  # lines that end before a place are the last, and are left out
            lines = gathering.windows(starts[some][order], stops=stops[some][order])
            for p in places:
                n = int(np.count_nonzero(lengths > p))
                reached = slice(p * width, (p + reaches[p]) * width)
                sums[p] += (lines[:n, p * width : (p + 1) * width].mT @ lines[:n, reached]).numpy()

    n_threads = threads_for(32 * width * block_rows) if here else 1
    return _sums_over_blocks(add, len(every), reaches, width, n_threads=n_threads)


def _sums_over_blocks(
    add: Callable[[Products, Sequence[int], range], None],
    n_blocks: int,
    reaches: Mapping[int, int],
    width: int,
    *,
    n_threads: int,
) -> Products:
    """Return the sums of the products that `add` adds: given sums, places and numbers of blocks, those of these.

    The threads share the blocks. Only if there are more threads than sums do some share the places of the same blocks, and
    each transposes the rows.
    """
    n_sums = n_partial_sums(n_blocks, 8 * width**2 * sum(reaches.values()))
    sums = [{p: np.zeros((width, reach * width)) for p, reach in reaches.items()} for _ in range(n_sums)]
    places, n_groups = list(reaches), min(-(-n_threads // n_sums), len(reaches))
    shares = [(i, places[group::n_groups]) for i in range(n_sums) for group in range(n_groups)]

    def add_up(share: tuple[int, Sequence[int]]) -> None:
        i, some = share
        add(sums[i], some, range(i, n_blocks, n_sums))

    each_block(add_up, shares, n_threads=n_threads)
    for more in sums[1:]:
        for p, total in sums[0].items():
            total += more[p]
    return sums[0]


def add_gram_of_products(gram: FloatArray, products: Products, period: int, phase: int, size: int, stride: int) -> None:
    """Add to `gram` the Gram matrix of all windows of the zero-padded series, from its lagged products."""
    width = len(next(iter(products.values())))
    blocks = gram.reshape(size, width, size, width)
    for residue in range(min(stride, size)):
        places = range((phase + residue) % stride, period, stride)
        total: FloatArray = reduce(np.add, (products[p][:, : (size - residue) * width] for p in places))
        for lag in range(size - residue):
            of_lag = total[:, lag * width : (lag + 1) * width]
            for i in range(residue, size - lag, stride):
                blocks[i + lag, :, i] += np.transpose(of_lag)
                if lag:
                    blocks[i, :, i + lag] += of_lag
