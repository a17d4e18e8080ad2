"""Scores of windows: products of their rows with loadings, without building a window.

The rows of all strides' windows are transposed once on the host, or copied once to a device. On the host, products are in
float32 where that is exact enough, and no score depends on where a block of rows ends, see `steady_products`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from emberharmony import ops
from emberharmony.stats.rows import LARGEST_FLOAT32, compute_dtype, fill_transposed, on_host, wide_enough_for
from emberharmony.steady_products import Layout, enough_for, steady_layout, wide_layout
from emberharmony.threads import compute_threads, each_block, threads_for
from emberharmony.typing import BoolArray, FeatureBlock, FloatArray, IntArray

_DEVICE_ROWS = 262_144  # in which the windows of a block begin
_PRODUCT_DEPTH = 256  # terms of one product on a device; with so many, adding the products up costs little
_MOST_PROJECTED = 1.3  # windows from every row, of which some are chosen, cost a device less than to choose rows
_LONGEST_STEP = 2  # windows' lengths between the starts of two: if they are further apart, most rows are in no window
_LEAST_FILLED = 2 / 3  # of the products of lines: fewer windows are copied, into fewer products
_TABLES_PER_THREAD = 4  # at least, so that all end at about the same time
_TABLE_NUMBERS = 2**18  # of the rows that are transposed at once, unless a product takes more


@dataclass(frozen=True)
class Directions:
    """Loadings that windows are projected on."""

    loadings: FloatArray  # (n_components, size * n_features)
    offset: FloatArray  # (n_components,): the scores of the mean
    size: int
    stride: int
    longest: float = 0.0
    """Length of the longest windows whose scores are exact enough in float32; 0 if none are."""


def project(directions: Sequence[Directions], rows: FeatureBlock, starts: Sequence[IntArray]) -> list[FeatureBlock]:
    """Return the scores of the windows of several strides of one size, that begin at `starts`; see `WindowPCA.project`."""
    with wide_enough_for(rows):
        if not on_host():
            return _on_device(directions, rows, starts)
        found = [_Scores(some, places, _layout_of(some)) for some, places in zip(directions, starts, strict=True)]
        _compute_all(found, rows)
        too_long = [scores for scores in found if scores.is_long.any()]
        wide = [scores.of_long_windows() for scores in too_long]
        _compute_all(wide, rows)
        for scores, exact in zip(too_long, wide, strict=True):
            scores.out[:, scores.is_long] = exact.out
        return [scores.out for scores in found]


def _layout_of(directions: Directions) -> Layout:
    steady = steady_layout(*directions.loadings.shape) if directions.longest else None
    return steady or wide_layout(directions.loadings.shape[1])


class _Scores:
    """The scores of the windows of one stride, while they are computed on the host.

    Evenly spaced windows begin at a few places of lines that are a multiple of the step long and hold a window. Those that
    begin at the same place are a matrix, which nobody has to build. Other windows are copied.
    """

    def __init__(self, directions: Directions, starts: IntArray, layout: Layout) -> None:
        n_components, depth = directions.loadings.shape
        self.directions, self.starts = directions, starts
        self.layout = enough_for(len(starts), layout, n_components, depth)
        self.out = np.empty((n_components, len(starts)), np.float32)
        self.is_long = np.zeros(len(starts), bool)  # too long for these scores, if they are in float32
        size, stride, reach = directions.size, directions.stride, int(starts[-1] - starts[0]) if len(starts) else 0
        self.are_apart = max(stride, reach // max(len(starts), 1)) > _LONGEST_STEP * size  # most rows are in no window
        self.step = size if self.are_apart else stride
        self.places = size * np.arange(len(starts)) if self.are_apart else starts  # in the rows that `rows_of` returns
        self.are_even = bool((np.diff(self.places) == self.step).all())
        self.in_line = -(-size // self.step)  # so many windows begin in a line
        self.period = self.in_line * self.step  # rows of a line
        self.n_windows = self.layout.n_used * self.in_line  # of a block: one complete product for each place in a line

    @property
    def block_rows(self) -> int:
        """Rows in which the windows of a block begin."""
        return self.n_windows * self.step

    def n_lines_of(self, n_rows: int) -> int:
        """Return the lines of all products of the windows that begin in so many rows."""
        n_windows = 1 + (n_rows - 1) // self.step
        return (1 + (n_windows - 1) // self.n_windows) * self.in_line * self.layout.n_lines

    def windows_in(self, begin: int, stop: int) -> slice:
        """Return the windows that begin in rows `begin` to `stop`."""
        return slice(*map(int, np.searchsorted(self.places, (begin, stop))))

    def blocks(self, windows: slice) -> Iterator[tuple[slice, bool]]:
        """Yield blocks of windows, and whether they are taken from lines: evenly spaced ones are, if they are not too few.

        The others are copied, those of several series together.
        """
        at, most = windows.start, self.layout.at_once * self.layout.n_used
        for begin, stop in (*self._runs(windows), (windows.stop, windows.stop)):
            yield from ((slice(i, min(i + most, begin)), False) for i in range(at, begin, most))
            if begin < stop:
                yield slice(begin, stop), True
            at = stop

    def _runs(self, windows: slice) -> Iterator[tuple[int, int]]:
        """Yield evenly spaced windows that fill most of the products of a block."""
        ends = np.array([windows.stop])
        if not self.are_even:
            apart = np.diff(self.places[windows]) != self.step
            ends = np.append(windows.start + 1 + np.flatnonzero(apart), ends)
        begins, least = np.append(windows.start, ends[:-1]), math.ceil(_LEAST_FILLED * self.n_windows)
        for run in np.flatnonzero(ends - begins >= least):
            begin, end = int(begins[run]), int(ends[run])
            for i in range(begin, end - least + 1, self.n_windows):
                yield i, min(i + self.n_windows, end)

    def rows_from(self, begin: int, windows: slice) -> slice | IntArray:
        """Return the rows in which windows begin, counted from row `begin`."""
        if not self.are_even:
            return self.places[windows] - begin
        first = int(self.places[windows.start]) - begin
        return slice(first, first + (windows.stop - windows.start) * self.step, self.step)

    def of_long_windows(self) -> _Scores:
        """Return the scores of the windows that are too long for these, which are to be computed in float64."""
        return _Scores(self.directions, self.starts[self.is_long], wide_layout(self.directions.loadings.shape[1]))

    def rows_of(self, rows: FeatureBlock) -> FeatureBlock:
        """Return the rows that windows are taken from: those of windows that are far apart, one after the other."""
        if not self.are_apart:
            return rows
        return rows[:, (self.starts[:, None] + np.arange(self.directions.size)).ravel()]


def _compute_all(found: Sequence[_Scores], rows: FeatureBlock) -> None:
    """Compute the scores of several strides, and which windows are too long for them if they are in float32."""
    alike: dict[Any, list[_Scores]] = {}  # whose windows are taken from the same transposed rows
    for scores in found:
        if len(scores.starts):
            alike.setdefault(id(scores) if scores.are_apart else scores.layout.line_dtype, []).append(scores)
    for several in alike.values():
        _compute(several, several[0].rows_of(rows))


def _compute(several: Sequence[_Scores], rows: FeatureBlock) -> None:
    """Compute the scores of several strides, block by block, from rows that are transposed once for all of them."""
    first, stop = min(scores.places[0] for scores in several), 1 + max(scores.places[-1] for scores in several)
    shared = -(-int(stop - first) // (_TABLES_PER_THREAD * compute_threads()))
    n_rows = _rows_at_once(several, min(_TABLE_NUMBERS // len(rows), shared))
    blocks = range(first, stop, n_rows)

    def compute(some: Sequence[int]) -> None:
        table, products = _Table(several, len(rows), n_rows), [_Products(scores) for scores in several]
        with np.errstate(over="ignore", invalid="ignore"):  # such windows are too long
            for begin in some:
                table.fill(rows[:, begin : begin + n_rows + table.size - 1])
                for each in products:
                    each.write(table, begin, begin + n_rows)

    n_threads = threads_for(_Table.bytes_of(several, len(rows), n_rows) + sum(map(_Products.bytes_of, several)))
    each_block(compute, [blocks[i::n_threads] for i in range(min(n_threads, len(blocks)))], n_threads=n_threads)


def _rows_at_once(several: Sequence[_Scores], most: int) -> int:
    """Return how many rows are transposed at once: at most `most`, such that few products are left incomplete.

    It is more than `most` if the smallest block of a stride is.
    """
    smallest = min(scores.block_rows for scores in several)
    possible = {n * it.block_rows for it in several for n in range(1, max(most, smallest) // it.block_rows + 1)}

    def lines_per_row(n_rows: int) -> float:
        return sum(it.n_lines_of(n_rows) for it in several) / n_rows

    return min(sorted(possible, reverse=True), key=lines_per_row)


class _Table:
    """Rows of windows on the host, transposed. Its memory is used again: fresh pages cost more than the copy."""

    def __init__(self, several: Sequence[_Scores], n_features: int, n_rows: int) -> None:
        self.size = several[0].directions.size
        self._first, n_all = self._places(several, n_rows)
        self._all = np.zeros((n_all, n_features), several[0].layout.line_dtype)
        self._rows, self._copies = self._all[:0], self._all[:0].ravel()
        self._lengths: NDArray[Any] | None = None

    @staticmethod
    def _places(several: Sequence[_Scores], n_rows: int) -> tuple[int, int]:
        """Return the place of the first row, behind lines that are not used, and the number of rows, up to the last line's."""
        before = max(scores.layout.margin * scores.period for scores in several)
        beyond = max(scores.layout.n_lines * scores.period for scores in several)
        return before, before + n_rows + beyond + several[0].directions.size

    @classmethod
    def bytes_of(cls, several: Sequence[_Scores], n_features: int, n_rows: int) -> int:
        """Return the most bytes of a table, and of windows that are copied."""
        copies = max(scores.layout.at_once * scores.layout.n_lines for scores in several) * several[0].directions.size
        itemsize = np.dtype(several[0].layout.line_dtype).itemsize
        return int(itemsize * n_features * (cls._places(several, n_rows)[1] + copies))

    def fill(self, rows: FeatureBlock) -> None:
        """Fill the table with rows."""
        self._rows = fill_transposed(self._all[self._first : self._first + rows.shape[1]], rows)
        self._lengths = None

    def lines(self, scores: _Scores, first: int, n_products: int) -> NDArray[Any]:
        """Return the windows that begin at row `first`, and a line later, and so on; and those that begin a step later.

        The shape is ``(n_products, n_lines, depth)``.
        """
        row_bytes, number_bytes = self._all.strides
        shape = n_products, scores.layout.n_lines, self.size * self._all.shape[1]
        offset = row_bytes * (self._first + first - scores.layout.margin * scores.period)
        strides = row_bytes * scores.step, row_bytes * scores.period, number_bytes
        return np.ndarray(shape, self._all.dtype, self._all, offset, strides)  # in a tenth of the time of `as_strided`

    def copies(self, scores: _Scores, places: IntArray) -> NDArray[Any]:
        """Return copies of windows, of the shape ``(n_products, n_lines, depth)``; each product has as many as it uses."""
        n_features, layout = self._all.shape[1], scores.layout
        n_products = -(-len(places) // layout.n_used)
        n_numbers = n_products * layout.n_lines * self.size * n_features
        if n_numbers > self._copies.size:
            self._copies = np.zeros(n_numbers, self._all.dtype)
        copies = self._copies[:n_numbers].reshape(n_products, layout.n_lines, self.size, n_features)
        for i in range(n_products):
            some = places[i * layout.n_used : (i + 1) * layout.n_used]
            used = copies[i, layout.margin : layout.margin + len(some)]
            # Without `clip`, NumPy takes the rows into a buffer first.
            np.take(self._rows, some[:, None] + np.arange(self.size), axis=0, out=used, mode="clip")
        return copies.reshape(n_products, layout.n_lines, -1)

    def too_long(self, places: slice | IntArray, longest: float) -> BoolArray | bool:
        """Return which windows are longer than `longest`, or have no length; none are, in float64."""
        if self._all.dtype == np.float64:
            return False
        if self._lengths is None:
            squares = np.einsum("ij,ij->i", self._rows, self._rows)  # always summed in the same order
            n_places = len(squares) - self.size + 1
            self._lengths = squares[:n_places].copy()
            for position in range(1, self.size):
                self._lengths += squares[position : position + n_places]
        is_long: BoolArray = ~(self._lengths[places] <= np.float64(longest) ** 2)  # NaN is
        return is_long


class _Products:
    """Products of one stride's windows with its loadings, on one thread."""

    def __init__(self, scores: _Scores) -> None:
        self._scores, self._layout = scores, scores.layout
        self._operand = self._layout.operand(scores.directions.loadings)
        self._offset = scores.directions.offset.astype(self._layout.line_dtype)[:, None]

    @staticmethod
    def bytes_of(scores: _Scores) -> int:
        """Return the most bytes of the products of a block."""
        return 8 * len(scores.out) * scores.layout.n_lines * (scores.layout.at_once + 1)

    def write(self, table: _Table, begin: int, stop: int) -> None:
        """Write the scores of the windows that begin in rows `begin` to `stop`, with which the table begins."""
        scores = self._scores
        windows = scores.windows_in(begin, stop)
        for block, are_lines in scores.blocks(windows):
            if are_lines:
                self._write_lines(table, int(scores.places[block.start]) - begin, scores.out[:, block])
            else:
                self._write_copies(table, scores.places[block] - begin, scores.out[:, block])
        if windows.start < windows.stop:
            scores.is_long[windows] = table.too_long(scores.rows_from(begin, windows), scores.directions.longest)

    def _write_lines(self, table: _Table, first: int, out: FeatureBlock) -> None:
        in_line, at_once = min(self._scores.in_line, out.shape[1]), self._layout.at_once
        for phase in range(0, in_line, at_once):
            n_products = min(at_once, in_line - phase)
            lines = table.lines(self._scores, first + phase * self._scores.step, n_products)
            for i, scores in enumerate(self._layout.scores(lines, self._operand)):
                self._write(scores, out[:, phase + i :: self._scores.in_line])

    def _write_copies(self, table: _Table, places: IntArray, out: FeatureBlock) -> None:
        n_used = self._layout.n_used
        for i, scores in enumerate(self._layout.scores(table.copies(self._scores, places), self._operand)):
            self._write(scores, out[:, i * n_used : (i + 1) * n_used])

    def _write(self, scores: NDArray[Any], out: FeatureBlock) -> None:
        scores = scores[:, : out.shape[1]]
        if scores.dtype == np.float32:
            np.subtract(scores, self._offset, out=out)
        else:
            out[:] = (scores - self._offset).clip(-LARGEST_FLOAT32, LARGEST_FLOAT32)


def _on_device(directions: Sequence[Directions], rows: FeatureBlock, starts: Sequence[IntArray]) -> list[FeatureBlock]:
    """Return the scores of several strides, block by block, from rows that are copied to the device once for all of them."""
    out = [np.empty((len(some.loadings), len(places)), np.float32) for some, places in zip(directions, starts, strict=True)]
    dtype = compute_dtype()
    loadings = [_Loadings.of(some, dtype) for some in directions]

    def score(begin: int) -> None:
        blocks = [slice(*np.searchsorted(places, (begin, begin + _DEVICE_ROWS))) for places in starts]
        used = [i for i, block in enumerate(blocks) if block.start < block.stop]
        if not used:
            return
        spans = {i: _span(starts[i][blocks[i]], directions[i].size) for i in used}
        at = min(span.start for span in spans.values())
        x = ops.astype(ops.asarray(rows[:, at : max(span.stop for span in spans.values())]), dtype, copy=False)
        for i, span in spans.items():
            taken = _Taken.of(starts[i][blocks[i]] - span.start, directions[i].stride)
            scores = loadings[i].scores(x[:, span.start - at : span.stop - at], taken)
            scores = ops.clip(scores, -LARGEST_FLOAT32, LARGEST_FLOAT32)
            out[i][:, blocks[i]] = ops.astype(scores, ops.float32).numpy()

    row_bytes = 8 * (_PRODUCT_DEPTH + 2 * len(rows) + 3 * max((len(scores) for scores in out), default=0))
    each_block(score, range(0, rows.shape[1], _DEVICE_ROWS), n_threads=threads_for(_DEVICE_ROWS * row_bytes))
    return out


def _span(starts: IntArray, size: int) -> slice:
    """Return the rows of windows."""
    return slice(int(starts[0]), int(starts[-1]) + size)


@dataclass(frozen=True)
class _Loadings:
    """Loadings on a device, in the data type of the rows."""

    matrix: Any  # (n_components, size * n_features)
    offset: Any  # (n_components, 1): the scores of the mean
    size: int

    @classmethod
    def of(cls, directions: Directions, dtype: Any) -> Self:
        offset = ops.asarray(directions.offset[:, None], dtype=dtype)
        return cls(ops.asarray(directions.loadings, dtype=dtype), offset, directions.size)

    def scores(self, x: Any, taken: _Taken) -> Any:
        """Return the scores of the windows that are taken from rows `x`, a tensor; shape ``(n_components, n_windows)``."""
        n_features = len(x)
        at_once = max(1, _PRODUCT_DEPTH // n_features)  # rows of the windows to one product
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
