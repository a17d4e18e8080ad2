"""Segments: neighbouring rows of one split's series, and the windows that start in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from emberharmony.features.columns import ROW_NUMBER
from emberharmony.splits import SplitCodes
from emberharmony.typing import FeatureBlock


@dataclass(frozen=True)
class Segment:
    """Neighbouring rows of one split's series: the columns that they carry along, and their features."""

    start: int  # number in the series of the first row
    carried: pa.Table
    block: FeatureBlock

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.carried.num_rows)

    def head(self, n_rows: int) -> Segment:
        """Return the first rows, copied: at most `n_rows`."""
        return Segment(self.start, self.carried.slice(0, n_rows), self.block[:, :n_rows].copy())

    def followed_by(self, heads: Sequence[Segment]) -> Segment:
        """Return the segment with the rows that follow it: the halo that its last windows need."""
        if not heads:
            return self
        carried = pa.concat_tables([self.carried, *(head.carried for head in heads)])
        return Segment(self.start, carried, np.concatenate([self.block, *(head.block for head in heads)], axis=1))


def segments_of(carried: pa.Table, block: FeatureBlock, codes: SplitCodes, starts: Mapping[str, int]) -> dict[str, Segment]:
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
        Number in each split's series of the chunk's first row.
    """
    segments = {}
    for i, (name, start) in enumerate(starts.items()):
        members = codes == i
        if members.all():
            return {name: Segment(start, carried, block)}
        if members.any():
            segments[name] = Segment(start, carried.filter(pa.array(members)), np.compress(members, block, axis=1))
    return segments


def window_columns(segment: Segment, starts: range, *, halo: int, time: str | None, target: str | None) -> pa.Table:
    """First and last row number and time of every window, and the target of its last row.

    Parameters
    ----------
    segment : Segment
        Rows that hold the windows whole.
    starts : range
        Numbers in the series of the windows' first rows.
    halo : int
        Rows of a window after its first one.
    time, target : str, optional
        Carried columns.
    """
    first = pa.array(np.arange(starts.start, starts.stop, starts.step) - segment.start)
    last = pa.array(first.to_numpy() + halo)
    columns = {"first_row": segment.carried[ROW_NUMBER].take(first), "last_row": segment.carried[ROW_NUMBER].take(last)}
    if time:
        columns |= {"start_time": segment.carried[time].take(first), "end_time": segment.carried[time].take(last)}
    if target:
        columns[target] = segment.carried[target].take(last)
    return pa.table(columns)


def no_rows(schema: pa.Schema, carried: Iterable[str], n_features: int) -> Segment:
    """Return a segment without rows, of the right columns."""
    fields = [pa.field(ROW_NUMBER, pa.int64()), *(schema.field(name) for name in carried)]
    return Segment(0, pa.schema(fields).empty_table(), np.empty((n_features, 0), np.float32))
