"""Read the rows of some windows, and cut the windows out of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.types as pt
from numpy.typing import NDArray

from emberharmony.features.columns import ROW_NUMBER, ColumnRoles
from emberharmony.loader.sampling import Piece
from emberharmony.loader.split_rows import SplitRows, fill_rows
from emberharmony.loader.window_index import WindowIndex
from emberharmony.steps.segments import window_columns
from emberharmony.typing import FeatureRows, IntArray


class WindowBatch(NamedTuple):
    """Some windows, in the order in which a loader gives them."""

    features: NDArray[np.float32]
    """Array of shape ``(n_windows, size, n_features)``."""
    label: NDArray[Any] | None
    """Target of each window, of shape ``(n_windows,)``; ``None`` if the result has no target."""
    keys: pa.Table
    """Entity of each window, and number and time of its first and last row, named as in the published windows."""


def joined(batches: Sequence[WindowBatch]) -> WindowBatch:
    """Return several batches, one after the other, as one."""
    if len(batches) == 1:
        return batches[0]
    features, labels, keys = zip(*batches, strict=True)
    label = None if labels[0] is None else np.concatenate(labels)
    return WindowBatch(np.concatenate(features), label, pa.concat_tables(keys).unify_dictionaries().combine_chunks())


@dataclass(frozen=True)
class WindowLayout:
    """What a window is made of."""

    size: int
    """Rows of a window."""
    label_after: int
    """Rows from a window's last one to the one whose target is its label."""
    features: tuple[str, ...]
    roles: ColumnRoles
    """Names of the columns that are carried along."""

    @property
    def reach(self) -> int:
        """Rows from a window's first one to the last one that it needs, both included."""
        return self.size + self.label_after


@dataclass(frozen=True)
class Windows:
    """Windows as places in rows, and the rows."""

    layout: WindowLayout
    rows: FeatureRows
    carried: pa.Table
    has_null_target: bool
    places: IntArray  # of the first rows

    def batch(self, start: int, stop: int) -> WindowBatch:
        """Return the windows ``[start, stop)``; they are copied."""
        layout, places = self.layout, self.places[start:stop]
        n_rows, n_features = self.rows.shape
        overlapping = np.lib.stride_tricks.as_strided(
            self.rows,
            (n_rows - layout.size + 1, layout.size, n_features),
            (self.rows.strides[0], *self.rows.strides),
            writeable=False,
        )
        columns = window_columns(self.carried, places, layout.roles, halo=layout.size - 1, label_after=layout.label_after)
        target = layout.roles.target
        if target is None:
            return WindowBatch(overlapping[places], None, columns)
        label = _labels(columns[target], has_nulls=self.has_null_target)
        return WindowBatch(overlapping[places], label, columns.drop_columns(target))


@dataclass(frozen=True)
class WindowReader:
    """Reads windows of a split."""

    layout: WindowLayout
    rows: SplitRows
    index: WindowIndex

    def read(self, buffer: Sequence[Piece]) -> Windows:
        """Return the windows of some pieces, in their order; only their rows are read, and as many as they reach beyond."""
        layout, groups = self.layout, self.rows.groups
        most = sum(groups[piece.group].n_rows + layout.reach - 1 for piece in buffer)
        rows = np.empty((most, len(layout.features)), np.float32)
        carried, places, n_rows = list[pa.Table](), list[IntArray](), 0
        for piece in buffer:
            tables = self._tables(piece.group)
            keys = pa.concat_tables([table.select(self._carried) for table in tables])
            found = self.index.places(piece.group, groups[piece.group].n_rows, keys)
            places.append(found[piece.start : piece.stop] + n_rows)
            carried.append(keys)
            while tables:
                table = tables.pop(0)  # and forgotten when it was copied
                fill_rows(rows[n_rows : n_rows + table.num_rows], table, layout.features)
                n_rows += table.num_rows
        columns = pa.concat_tables(carried).unify_dictionaries().combine_chunks()
        return Windows(layout, rows[:n_rows], columns, self.rows.n_null_targets > 0, np.concatenate(places))

    @property
    def _carried(self) -> list[str]:
        return [ROW_NUMBER, *self.layout.roles.carried]

    def _tables(self, group: int) -> list[pa.Table]:
        columns = [*self._carried, *self.layout.features]
        return [self.rows.read(group, columns), *self.rows.read_after(group, self.layout.reach - 1, columns)]


def _labels(target: pa.ChunkedArray, *, has_nulls: bool) -> NDArray[Any]:
    """Return a target as NumPy holds it, of one dtype for all batches.

    Whole numbers and booleans become float64 if the split has nulls among them, which become NaN. Floats keep their width.
    """
    type_ = target.type
    if pt.is_dictionary(type_):
        target = target.cast(type_.value_type)
    if pt.is_decimal(type_) or (has_nulls and (pt.is_integer(type_) or pt.is_boolean(type_))):
        target = target.cast(pa.float64())
    labels: NDArray[Any] = target.combine_chunks().to_numpy(zero_copy_only=False, writable=True)
    return labels
