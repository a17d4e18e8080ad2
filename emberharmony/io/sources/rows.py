"""Operations on rows that were read: cut them to a chunk, sort and number them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from emberharmony.arrow import ticks
from emberharmony.features.columns import ROW_NUMBER
from emberharmony.planning.chunks import in_range
from emberharmony.typing import IntArray


def rows_between(table: pa.Table, first_row: int, start: int, stop: int) -> pa.Table:
    """Return the rows with numbers in ``[start, stop)`` of a table whose first row is number `first_row`."""
    begin, end = max(start - first_row, 0), min(stop - first_row, table.num_rows)
    return _numbered(table.slice(begin, max(end - begin, 0)), np.arange(first_row + begin, first_row + max(end, begin)))


def rows_of_times(table: pa.Table, first_row: int, time: str, start: int, stop: int) -> pa.Table:
    """Return the rows with a time in ``[start, stop)`` of a table whose first row is number `first_row`."""
    numbers, missing, _ = ticks(table[time])
    inside = in_range(numbers, start, stop)
    if missing is not None:
        inside &= ~missing
    return _numbered(table.filter(pa.array(inside)), first_row + np.flatnonzero(inside))


def sorted_rows(table: pa.Table, time: str) -> pa.Table:
    """Return the rows in time order, equal times in source order; a sorted table is returned unchanged."""
    numbers, _, _ = ticks(table[time])
    if is_sorted(numbers):
        return table
    return table.take(pa.array(np.argsort(numbers, kind="stable")))


def is_sorted(numbers: IntArray) -> bool:
    """Whether no number is smaller than the one before."""
    return bool((numbers[1:] >= numbers[:-1]).all())


def _numbered(table: pa.Table, row_numbers: IntArray) -> pa.Table:
    return table.add_column(0, ROW_NUMBER, pa.array(row_numbers, pa.int64()))
