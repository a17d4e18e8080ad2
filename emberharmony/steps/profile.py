"""Profile the training rows of a chunk."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from emberharmony.features.columns import FeatureColumn
from emberharmony.features.kinds.datetime import CyclicalSpec
from emberharmony.features.preprocessing import NumberSpec
from emberharmony.features.profile import ColumnProfile


def profile_rows(
    rows: pa.Table, columns: Sequence[FeatureColumn], *, cycles: CyclicalSpec, numbers: NumberSpec
) -> dict[str, ColumnProfile]:
    """Return the mergeable profile of every feature column.

    Parameters
    ----------
    rows : pyarrow.Table
        Training rows.
    columns : sequence of FeatureColumn
        Columns that features are made of.
    cycles, numbers
        Specs of datetime and numeric features: they say which further moments are needed.
    """
    scaled_cycles = cycles if numbers.scale == "all" else None
    return {
        column.name: ColumnProfile.of(column, rows[column.name], cycles=scaled_cycles, epoch=cycles.epoch)
        for column in columns
    }
