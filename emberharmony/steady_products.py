"""Products of windows with loadings, whose last bits do not depend on the place of a window in them.

The last bits of a product depend on its shape, and, with some libraries, on the place in it. So all products have one shape,
and those places are used that give the same bits, which is tried first. Where no shape does so, products are in float64,
whose last bits do not show.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberharmony import ops
from emberharmony.backend import select
from emberharmony.stats.rows import compute_dtype
from emberharmony.threads import each_block
from emberharmony.typing import FloatArray

_LINES_NUMBERS = 2**19  # of a product: smaller ones would wait for the interpreter, where several threads compute
_FEWEST_LINES, _MOST_LINES = 64, 4_096
_MOST_STEADY = 320  # lines of products in the second layout, see `steady_layout`
_AT_ONCE = 5  # of its products, which are so small that asking for each would take a fifth of their time
_FEW_LINES = 64, 512  # of products that hold all windows of a small chunk
_COMPARED = 64  # scores that must have the same bits at every place of a product


@dataclass(frozen=True)
class Layout:
    """Shape of the products of lines, which hold a window each, with loadings."""

    dtype: Any
    n_lines: int
    margin: int = 0  # lines at both ends whose scores are not used
    lines_first: bool = True  # lines times loadings, or loadings times lines
    at_once: int = 1  # products that the interpreter is asked for at once, at most

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
        """Return the scores of the lines that are used, of the shape ``(n_products, n_components, n_used)``.

        `lines` has the shape ``(n_products, n_lines, depth)``.
        """
        them = ops.asarray(lines)
        scores: NDArray[Any] = ((them @ operand).mT if self.lines_first else operand @ them.mT).numpy()
        return scores[..., self.margin : self.n_lines - self.margin]


def _lines_of(depth: int) -> int:
    """Return how many lines of `depth` numbers a product has: a power of two."""
    return min(max(1 << (_LINES_NUMBERS // depth).bit_length() - 1, _FEWEST_LINES), _MOST_LINES)


def wide_layout(depth: int) -> Layout:
    """Return the layout of products in float64."""
    return Layout(compute_dtype(), _lines_of(depth), lines_first=False)


def steady_layout(n_components: int, depth: int) -> Layout | None:
    """Return the fastest layout in float32 that gives a window the same bits at every place of a product, if there is one.

    The first one does in OpenBLAS with AVX-512. With AVX2, six of twelve windows are summed in another order; in the second
    one, only the first and the last eight are, up to 320 lines.
    """
    layouts = (
        Layout(ops.float32, _lines_of(depth)),
        Layout(ops.float32, min(_lines_of(depth), _MOST_STEADY), margin=8, lines_first=False, at_once=_AT_ONCE),
    )
    return next((layout for layout in layouts if _are_steady((layout,), n_components, depth, select().name)), None)


def enough_for(n_windows: int, layout: Layout, n_components: int, depth: int) -> Layout:
    """Return the layout, or one of fewer lines that holds all windows and gives them the same bits."""
    for n_lines in _FEW_LINES:
        few = replace(layout, n_lines=n_lines)
        if n_windows <= few.n_used < layout.n_used and _are_steady((layout, few), n_components, depth, select().name):
            return few
    return layout


@cache
def _are_steady(layouts: tuple[Layout, ...], n_components: int, depth: int, _backend: str) -> bool:
    """Whether the scores of a window are the same in all layouts and places of a product, whatever the distance of lines."""
    rng, found = np.random.default_rng(0), list[bool]()

    def compare(_: None) -> None:
        for _trial in range(-(-_COMPARED // n_components)):
            loadings, window = rng.standard_normal((n_components, depth)), rng.standard_normal(depth)
            scores = list[NDArray[Any]]()
            for layout, pitch in product(layouts, (depth, 2 * depth)):
                lines, operand = np.zeros((layout.at_once, layout.n_lines, pitch), layout.line_dtype), layout.operand(loadings)
                lines[..., :depth] = window
                scores.extend(layout.scores(lines[:n, :, :depth], operand) for n in range(1, layout.at_once + 1))
            found.append(all(bool((some == scores[0][0, :, :1]).all()) for some in scores))

    each_block(compare, [None])  # with one thread of BLAS, as scores are computed
    return all(found)
