"""The windows that begin in each row group of a split."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from emberharmony.loader.split_rows import SplitRows
from emberharmony.stats.places import window_places
from emberharmony.steps.order import JobOrder
from emberharmony.typing import IntArray
from emberharmony.windows import window_starts


@dataclass(frozen=True)
class WindowIndex:
    """How many windows begin in each row group, and where they begin."""

    order: JobOrder
    """What tells the series apart."""
    reach: int
    """Rows from a window's first one to the last one that it needs, both included."""
    stride: int
    """Rows between the starts of two windows of a series."""
    starts: IntArray
    """Number, in its series, of the first row of each group."""
    counts: IntArray
    """Windows that begin in each group."""

    def places(self, group: int, n_rows: int, rows: pa.Table) -> IntArray:
        """Return the first rows, as places in `rows`, of the windows that begin in a group.

        Parameters
        ----------
        group : int
            The group.
        n_rows : int
            Rows of the group.
        rows : pyarrow.Table
            The columns of the order, of these rows and of the `reach` - 1 rows after them.
        """
        start, borders = int(self.starts[group]), self.order.borders(rows)
        places = window_places(self.reach, self.stride, start=start, n_rows=rows.num_rows, borders=borders)
        return places[places < n_rows]


def index_windows(rows: SplitRows, order: JobOrder, *, reach: int, stride: int) -> WindowIndex:
    """Count the windows of a split.

    For a single series, numbers of rows are enough. For several, the columns that tell them apart are read once, one row group
    at a time.
    """
    counting = _Counting(reach, stride)
    if order.makes_series:
        last = None
        for i in range(len(rows.groups)):
            marks = rows.read(i, order.columns)
            continues = last is not None and not len(order.borders(pa.concat_tables([last, marks.slice(0, 1)])))
            counting.add(marks.num_rows, order.borders(marks), continues=continues)
            last = marks.slice(marks.num_rows - 1)
    else:
        for i, group in enumerate(rows.groups):
            counting.add(group.n_rows, np.empty(0, np.int64), continues=i > 0)
    counting.end_series()
    return WindowIndex(order, reach, stride, np.array(counting.starts, np.int64), np.array(counting.counts, np.int64))


@dataclass
class _Counting:
    """Counts windows group by group. Those of a group's last series are counted when its end is known."""

    reach: int
    stride: int
    starts: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    n_rows: int = 0
    """Rows so far of the series that may go on."""
    waiting: list[tuple[int, int, int]] = field(default_factory=list)
    """Groups that it has rows in, with the numbers in it of the first row there, and of the row after the last."""

    def add(self, n_rows: int, borders: IntArray, *, continues: bool) -> None:
        """Add a group, of which the rows at `borders` begin another series, and the first one unless it continues the last."""
        if not continues:
            self.end_series()
        start, group = self.n_rows, len(self.starts)
        self.starts.append(start)
        self.counts.append(0)
        if len(borders):
            self.n_rows += int(borders[0])
            self.end_series()
            last = int(borders[-1])
            complete = window_places(self.reach, self.stride, start=start, n_rows=last, borders=borders[:-1])
            self.counts[group] = len(complete)
            n_rows -= last
        self.waiting.append((group, self.n_rows, self.n_rows + n_rows))
        self.n_rows += n_rows

    def end_series(self) -> None:
        """Count the windows of the series that ends here."""
        for group, start, stop in self.waiting:
            self.counts[group] += len(window_starts(self.reach, self.stride, start=start, stop=stop, n_rows=self.n_rows))
        self.waiting, self.n_rows = [], 0
