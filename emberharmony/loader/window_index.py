"""The windows that begin in each row group of a split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emberharmony.loader.split_rows import SplitRows
from emberharmony.typing import IntArray
from emberharmony.windows import window_starts


@dataclass(frozen=True)
class WindowIndex:
    """How many windows begin in each row group, and where they begin."""

    reach: int
    """Rows from a window's first one to the last one that it needs, both included."""
    stride: int
    """Rows between the starts of two windows of a series."""
    starts: IntArray
    """Number, in its series, of the first row of each group."""
    counts: IntArray
    """Windows that begin in each group."""

    def places(self, group: int) -> IntArray:
        """Return the first rows, as places in a group, of the windows that begin in it."""
        first = int(-self.starts[group] % self.stride)
        return first + self.stride * np.arange(self.counts[group])


def index_windows(rows: SplitRows, *, reach: int, stride: int) -> WindowIndex:
    """Count the windows of a split, by its numbers of rows alone."""
    n_rows = np.array([group.n_rows for group in rows.groups], np.int64)
    starts, total = np.cumsum(n_rows) - n_rows, int(n_rows.sum())
    of_groups = zip(starts.tolist(), n_rows.tolist(), strict=True)
    counts = [len(window_starts(reach, stride, start=start, stop=start + n, n_rows=total)) for start, n in of_groups]
    return WindowIndex(reach, stride, starts, np.array(counts, np.int64))
