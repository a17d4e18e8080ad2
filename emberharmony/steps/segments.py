"""Segments of the series of a split, with the columns that their rows carry along."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from emberharmony.features.columns import ROW_NUMBER, ColumnRoles
from emberharmony.series import Segment, joined_borders
from emberharmony.splits import SplitCodes
from emberharmony.steps.order import JobOrder
from emberharmony.typing import BoolArray, FeatureBlock, IntArray


@dataclass(frozen=True)
class TableSegment(Segment):
    """Adjacent rows of one split: their features, and the columns that they carry along."""

    carried: pa.Table

    def head(self, n_rows: int) -> TableSegment:
        """Return a copy of the first rows: at most `n_rows`."""
        borders = self.borders[self.borders < n_rows]
        return TableSegment(self.start, self.block[:, :n_rows].copy(), self.carried.slice(0, n_rows), borders=borders)

    def followed_by(self, heads: Sequence[TableSegment]) -> TableSegment:
        """Return the segment with the rows that follow it: the halo that its last windows need.

        Raises
        ------
        ValueError
            If a head does not begin a series, and does not continue the one before it.
        """
        if not heads:
            return self
        parts = [part for part in (self, *heads) if part.n_rows] or [self]
        start, borders = joined_borders(parts)
        block = np.concatenate([part.block for part in parts], axis=1)
        return TableSegment(start, block, pa.concat_tables([part.carried for part in parts]), borders=borders)


def segments_by_split(
    carried: pa.Table, block: FeatureBlock, codes: SplitCodes, starts: Mapping[str, int], order: JobOrder
) -> dict[str, TableSegment]:
    """Return a chunk's rows by split; the rows of a chunk within one split are not copied.

    Parameters
    ----------
    carried : pyarrow.Table
        Columns that rows carry along.
    block : float32 array of shape (n_features, n_rows)
        Features of the same rows.
    codes : int8 array of shape (n_rows,)
        Split of each row: its place in `starts`, or negative for a row in no split.
    starts : mapping of str to int
        Number, in its series, of the chunk's first row of each split.
    order : JobOrder
        What tells the series apart.
    """
    segments = {}
    for i, (name, start) in enumerate(starts.items()):
        members = codes == i
        if members.all():
            return {name: TableSegment(start, block, carried, borders=order.borders(carried))}
        if members.any():
            part = carried.filter(pa.array(members))
            segments[name] = TableSegment(start, np.compress(members, block, axis=1), part, borders=order.borders(part))
    return segments


def window_columns(
    rows: pa.Table,
    starts: IntArray,
    roles: ColumnRoles,
    *,
    halo: int,
    label_after: int = 0,
    borders: IntArray | None = None,
) -> pa.Table:
    """Entity of every window, number and time of its first and last row, and its label: the target of a row.

    Parameters
    ----------
    rows : pyarrow.Table
        Columns that rows carry along; the windows lie in them whole.
    starts : int64 array of shape (n_windows,)
        Places of the windows' first rows.
    roles : ColumnRoles
        Names of the carried columns.
    halo : int
        Rows of a window after its first one.
    label_after : int
        Rows from a window's last one to the one whose target is its label; null if its series has no such row.
    borders : int64 array, optional
        Places whose row begins another series; without them, every window's series has the row of its label.
    """
    first, last, time, target = pa.array(starts), pa.array(starts + halo), roles.time, roles.target
    columns = {name: rows[name].take(first) for name in roles.entity}
    columns |= {"first_row": rows[ROW_NUMBER].take(first), "last_row": rows[ROW_NUMBER].take(last)}
    if time:
        columns |= {"start_time": rows[time].take(first), "end_time": rows[time].take(last)}
    if target:
        places = starts + halo + label_after
        columns[target] = rows[target].take(pa.array(places, mask=_is_beyond(places, starts, borders, rows.num_rows)))
    return pa.table(columns)


def _is_beyond(places: IntArray, starts: IntArray, borders: IntArray | None, n_rows: int) -> BoolArray | None:
    """Mask of the places that lie beyond the series of a window's first row; ``None`` if none can."""
    if borders is None:
        return None
    stops = np.append(borders, n_rows)[np.searchsorted(borders, starts, side="right")]
    beyond: BoolArray = places >= stops
    return beyond


def no_rows(schema: pa.Schema, carried: Iterable[str], n_features: int) -> TableSegment:
    """Return a segment without rows, of the right columns."""
    fields = [pa.field(ROW_NUMBER, pa.int64()), *(schema.field(name) for name in carried)]
    return TableSegment(0, np.empty((n_features, 0), np.float32), pa.schema(fields).empty_table())
