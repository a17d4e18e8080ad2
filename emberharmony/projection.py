"""Scores of windows: products of their rows with loadings, without building a window.

On the host, products are in float32 where that is exact enough, and no score depends on where a block of rows ends. The last
bits of a product depend on its shape, and, with some libraries, on the place in it. So all products have one shape, and those
places are used that give the same bits, which is tried first. Where no shape does so, products are in float64, whose last
bits do not show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any, Self

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from emberharmony import ops
from emberharmony.backend import select
from emberharmony.stats.places import blocks_of
from emberharmony.stats.rows import LARGEST_FLOAT32, compute_dtype, fill_transposed, on_host, wide_enough_for
from emberharmony.threads import each_block, threads_for
from emberharmony.typing import BoolArray, FeatureBlock, FloatArray, IntArray

_DEVICE_WINDOWS = 262_144  # of a block
_PRODUCT_DEPTH = 256  # terms of one product on a device; with so many, adding the products up costs little
_MOST_PROJECTED = 1.3  # windows from every row, of which some are chosen, cost a device less than to choose rows
_LONGEST_STEP = 2  # windows' lengths between the starts of two: if they are further apart, most rows are in no window
_LINES_NUMBERS = 2**19  # of a product: smaller ones would wait for the interpreter, where several threads compute
_FEWEST_LINES, _MOST_LINES = 64, 4_096
_FEW_LINES = 64, 512  # of products that hold all windows of a small chunk
_COMPARED = 64  # scores that must have the same bits at every place of a product


@dataclass(frozen=True)
class Directions:
    """Loadings that windows are projected on."""

    loadings: FloatArray  # (n_components, size * n_features)
    offset: FloatArray  # (n_components,): the scores of the mean
    size: int
    stride: int
    longest: float = 0.0
    """Length of the longest windows whose scores are exact enough in float32; 0 if none are."""


def project(directions: Directions, rows: FeatureBlock, starts: IntArray) -> FeatureBlock:
    """Return the scores of the windows that begin at `starts`, see `WindowPCA.project`."""
    with wide_enough_for(rows):
        if not on_host():
            return _on_device(directions, rows, starts)
        layout = _steady_layout(*directions.loadings.shape) if directions.longest else None
        if layout is None:
            return _on_host(directions, rows, starts, _wide_layout(directions))[0]
        scores, is_long = _on_host(directions, rows, starts, layout)
        if is_long.any():
            scores[:, is_long] = _on_host(directions, rows, starts[is_long], _wide_layout(directions))[0]
        return scores


def _on_host(directions: Directions, rows: FeatureBlock, starts: IntArray, layout: _Layout) -> tuple[FeatureBlock, BoolArray]:
    """Return the scores of windows, and which windows are too long for them if they are in float32."""
    layout = _enough_for(len(starts), layout, *directions.loadings.shape)
    out, is_long = np.empty((len(directions.loadings), len(starts)), np.float32), np.zeros(len(starts), bool)
    size, stride, reach = directions.size, directions.stride, int(starts[-1] - starts[0]) if len(starts) else 0
    apart = max(stride, reach // max(len(starts), 1)) > _LONGEST_STEP * size  # most rows are in no window
    step = size if apart else stride
    in_line = -(-size // step)
    n_windows = layout.n_used * in_line
    blocks = blocks_of(starts, n_windows, reach + 1 if apart else n_windows * step)

    def score(some: Sequence[slice]) -> None:
        lines = _Lines(directions, layout, step)
        with np.errstate(over="ignore", invalid="ignore"):  # such windows are too long
            for block in some:
                at, places = starts[block.start], starts[block]
                if apart:
                    of_windows = rows[:, (places[:, None] + np.arange(size)).ravel()]
                    is_long[block] = lines.score(of_windows, size * np.arange(len(places)), out[:, block])
                else:
                    of_block = rows[:, at : places[-1] + size]
                    is_long[block] = lines.score(of_block, places - at, out[:, block])

    n_threads = threads_for(_Lines.bytes_of(directions, layout, step))
    each_block(score, [blocks[i::n_threads] for i in range(min(n_threads, len(blocks)))], n_threads=n_threads)
    return out, is_long


@dataclass(frozen=True)
class _Layout:
    """Shape of the products of lines, which hold a window each, with loadings."""

    dtype: Any
    n_lines: int
    margin: int = 0  # lines at both ends whose scores are not used
    lines_first: bool = True  # lines times loadings, or loadings times lines

    @property
    def line_dtype(self) -> Any:
        """NumPy's data type of the lines."""
        return np.float32 if self.dtype == ops.float32 else np.float64

    @property
    def n_used(self) -> int:
        """Number of windows of a product."""
        return self.n_lines - 2 * self.margin

    def operand(self, loadings: FloatArray) -> Any:
        """Return loadings as the product needs them."""
        return ops.asarray(np.ascontiguousarray(loadings.T if self.lines_first else loadings), dtype=self.dtype)

    def scores(self, lines: NDArray[Any], operand: Any) -> NDArray[Any]:
        """Return the scores of the lines that are used; shape ``(n_components, n_used)``."""
        them = ops.asarray(lines)
        scores: NDArray[Any] = ((them @ operand).mT if self.lines_first else operand @ them.mT).numpy()
        return scores[:, self.margin : self.n_lines - self.margin]


def _lines_of(depth: int) -> int:
    """Return how many lines of `depth` numbers a product has: a power of two."""
    return min(max(1 << (_LINES_NUMBERS // depth).bit_length() - 1, _FEWEST_LINES), _MOST_LINES)


def _wide_layout(directions: Directions) -> _Layout:
    return _Layout(compute_dtype(), _lines_of(directions.loadings.shape[1]), lines_first=False)


def _steady_layout(n_components: int, depth: int) -> _Layout | None:
    """Return the fastest layout in float32 that gives a window the same bits at every place of a product, if there is one.

    The first one does in OpenBLAS with AVX-512. With AVX2, six of twelve windows are summed in another order; in the second
    one, only the first and the last eight are, up to 320 lines.
    """
    layouts = (
        _Layout(ops.float32, _lines_of(depth)),
        _Layout(ops.float32, min(_lines_of(depth), 256), margin=8, lines_first=False),
    )
    return next((layout for layout in layouts if _are_steady((layout,), n_components, depth, select().name)), None)


def _enough_for(n_windows: int, layout: _Layout, n_components: int, depth: int) -> _Layout:
    """Return the layout, or one of fewer lines that holds all windows and gives them the same bits."""
    for n_lines in _FEW_LINES:
        few = replace(layout, n_lines=n_lines)
        if n_windows <= few.n_used < layout.n_used and _are_steady((layout, few), n_components, depth, select().name):
            return few
    return layout


@cache
def _are_steady(layouts: tuple[_Layout, ...], n_components: int, depth: int, _backend: str) -> bool:
    """Whether the scores of a window are the same in all layouts and places of a product, whatever the distance of lines."""
    rng, found = np.random.default_rng(0), list[bool]()

    def compare(_: None) -> None:
        for _trial in range(-(-_COMPARED // n_components)):
            loadings, window = rng.standard_normal((n_components, depth)), rng.standard_normal(depth)
            scores = list[NDArray[Any]]()
            for layout, pitch in product(layouts, (depth, 2 * depth)):
                lines = np.zeros((layout.n_lines, pitch), layout.line_dtype)
                lines[:, :depth] = window
                scores.append(layout.scores(lines[:, :depth], layout.operand(loadings)))
            found.append(all(bool((some == scores[0][:, :1]).all()) for some in scores))

    each_block(compare, [None])  # with one thread of BLAS, as scores are computed
    return all(found)


def _table_rows(directions: Directions, layout: _Layout, step: int) -> int:
    """Return the rows of all lines of a product, and of one more window."""
    return layout.n_lines * -(-directions.size // step) * step + directions.size


class _Lines:
    """Scores of windows on the host, from rows that are transposed once.

    Evenly spaced windows begin at a few places of lines that are a multiple of the step long and hold a window. Those that
    begin at the same place are a matrix, which nobody has to build. Other windows are copied. The memory of all of them is
    used again: fresh pages cost more than the copy.
    """

    def __init__(self, directions: Directions, layout: _Layout, step: int) -> None:
        self._size, self._longest, self._layout, self._step = directions.size, directions.longest, layout, step
        self._in_line = -(-self._size // step)  # so many windows begin in a line
        self._period = self._in_line * step  # rows of a line
        self._first = layout.margin * self._period
        self._operand = layout.operand(directions.loadings)
        dtype = layout.line_dtype
        self._offset = directions.offset.astype(dtype)[:, None]
        self._depth = directions.loadings.shape[1]
        self._table = np.zeros((_table_rows(directions, layout, step), self._depth // self._size), dtype)
        self._windows = np.zeros((0, self._depth), dtype)

    @staticmethod
    def bytes_of(directions: Directions, layout: _Layout, step: int) -> int:
        """Return the most bytes that the scores of a block take."""
        n_components, depth = directions.loadings.shape
        n_rows = _table_rows(directions, layout, step)
        return int(8 * (n_rows * depth // directions.size + layout.n_lines * (depth + 2 * n_components)))

    def score(self, rows: FeatureBlock, starts: IntArray, out: FeatureBlock) -> BoolArray:
        """Write the scores of windows to `out`, of shape ``(n_components, n_windows)``, and return which are too long."""
        fill_transposed(self._table[self._first : self._first + rows.shape[1]], rows)
        if self._are_lines(starts):
            for phase in range(min(self._in_line, len(starts))):
                self._write(self._lines(phase * self._step), out[:, phase :: self._in_line])
        else:
            self._score_copies(starts + self._first, out)
        return self._too_long(self._table[self._first : self._first + rows.shape[1]], starts)

    def _are_lines(self, starts: IntArray) -> bool:
        """Whether windows are evenly spaced, and not so few that copies of all of them are one product instead of several."""
        if self._in_line > 1 and len(starts) <= self._layout.n_used:
            return False
        return int(starts[-1]) == (len(starts) - 1) * self._step and bool((np.diff(starts) == self._step).all())

    def _lines(self, first: int) -> NDArray[Any]:
        """Return the windows that begin at row `first` of the table, and a line later, and so on."""
        row_bytes, number_bytes = self._table.strides
        shape = self._layout.n_lines, self._depth
        return as_strided(self._table[first:], shape, (self._period * row_bytes, number_bytes))

    def _score_copies(self, places: IntArray, out: FeatureBlock) -> None:
        if not len(self._windows):
            self._windows = np.zeros((self._layout.n_lines, self._depth), self._table.dtype)
        every = as_strided(self._table, (len(self._table) - self._size + 1, self._depth), self._table.strides)
        margin, n_used = self._layout.margin, self._layout.n_used
        for begin in range(0, len(places), n_used):
            some = places[begin : begin + n_used]
            self._windows[margin : margin + len(some)] = every[some]
            self._write(self._windows, out[:, begin : begin + n_used])

    def _write(self, lines: NDArray[Any], out: FeatureBlock) -> None:
        scores = self._layout.scores(lines, self._operand)[:, : out.shape[1]]
        if scores.dtype == np.float32:
            np.subtract(scores, self._offset, out=out)
        else:
            out[:] = (scores - self._offset).clip(-LARGEST_FLOAT32, LARGEST_FLOAT32)

    def _too_long(self, rows: NDArray[Any], starts: IntArray) -> BoolArray:
        if rows.dtype == np.float64:
            return np.zeros(len(starts), bool)
        squares = np.einsum("ij,ij->i", rows, rows)  # always summed in the same order
        n_places = len(rows) - self._size + 1
        of_windows = squares[:n_places].copy()
        for position in range(1, self._size):
            of_windows += squares[position : position + n_places]
        too_long: BoolArray = ~(of_windows[starts] <= np.float64(self._longest) ** 2)  # NaN is
        return too_long


def _on_device(directions: Directions, rows: FeatureBlock, starts: IntArray) -> FeatureBlock:
    out = np.empty((len(directions.loadings), len(starts)), np.float32)
    loadings = _Loadings.of(directions, compute_dtype())
    window_bytes = 8 * (_PRODUCT_DEPTH + 2 * len(rows) + 3 * len(out))

    def score(block: slice) -> None:
        at, stop = int(starts[block.start]), int(starts[block.stop - 1]) + directions.size
        scores = loadings.scores(rows[:, at:stop], _Taken.of(starts[block] - at, directions.stride))
        scores = ops.clip(scores, -LARGEST_FLOAT32, LARGEST_FLOAT32)
        out[:, block] = ops.astype(scores, ops.float32).numpy()

    blocks = blocks_of(starts, _DEVICE_WINDOWS, _DEVICE_WINDOWS * directions.stride)
    each_block(score, blocks, n_threads=threads_for(_DEVICE_WINDOWS * window_bytes))
    return out


@dataclass(frozen=True)
class _Loadings:
    """Loadings on a device, in one data type."""

    matrix: Any  # (n_components, size * n_features)
    offset: Any  # (n_components, 1): the scores of the mean
    size: int

    @classmethod
    def of(cls, directions: Directions, dtype: Any) -> Self:
        offset = ops.asarray(directions.offset[:, None], dtype=dtype)
        return cls(ops.asarray(directions.loadings, dtype=dtype), offset, directions.size)

    def scores(self, rows: FeatureBlock, taken: _Taken) -> Any:
        """Return the scores of the windows that are taken from `rows`; shape ``(n_components, n_windows)``."""
        n_features, dtype = len(rows), self.matrix.dtype
        at_once = max(1, _PRODUCT_DEPTH // n_features)  # rows of the windows to one product
        x = ops.astype(ops.asarray(rows), dtype, copy=False)
        scores = -self.offset
        for i in range(0, self.size, at_once):
            parts = [taken.rows(x, j) for j in range(i, min(i + at_once, self.size))]
            of_rows = ops.concat(parts, axis=0) if len(parts) > 1 else parts[0]
            scores = scores + self.matrix[:, i * n_features : (i + len(parts)) * n_features] @ of_rows
        return taken.windows(scores)


@dataclass(frozen=True)
class _Taken:
    """How the windows of a block are taken from its rows: evenly spaced, all of them or some, or one by one."""

    starts: IntArray
    step: int  # rows between windows that are evenly spaced, or 0
    n_windows: int  # that are evenly spaced, of which `starts` are all or some

    @classmethod
    def of(cls, starts: IntArray, stride: int) -> Self:
        reach = int(starts[-1]) + 1
        if reach == (len(starts) - 1) * stride + 1 and (np.diff(starts) == stride).all():
            return cls(starts, stride, len(starts))
        return cls(starts, int(reach <= _MOST_PROJECTED * len(starts)), reach)

    def rows(self, x: Any, j: int) -> Any:
        """Return row `j` of every window, of shape ``(n_features, n_windows)``."""
        if self.step:
            return x[:, j : j + (self.n_windows - 1) * self.step + 1 : self.step]
        return ops.take(x, ops.asarray(self.starts + j), axis=1)

    def windows(self, scores: Any) -> Any:
        """Return the scores of the windows, given those of all evenly spaced ones."""
        if self.step and len(self.starts) < self.n_windows:
            return ops.take(scores, ops.asarray(self.starts), axis=1)
        return scores
