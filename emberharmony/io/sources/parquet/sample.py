"""Some rows of Parquet files, from a few of their row groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from emberharmony.io.sources.parquet.footers import RowGroup
from emberharmony.io.sources.parquet.read import read_groups
from emberharmony.io.sources.parquet.table import ParquetTable

MAX_GROUPS: Final = 4
"""Row groups that a sample is taken from."""
_AT_ONCE: Final = 16_384


def sample_rows(source: ParquetTable, columns: Sequence[str], n_rows: int) -> pa.Table:
    """Return at most `n_rows` rows in the table's order: all, or the first of a few row groups at equal distances."""
    groups = source.groups
    empty = pa.schema([source.fields[name] for name in columns]).empty_table()
    if sum(group.n_rows for group in groups) <= n_rows:
        return pa.concat_tables([empty, *(_first(source, group, columns, group.n_rows) for group in groups)])
    chosen = np.unique(np.linspace(0, len(groups) - 1, min(MAX_GROUPS, n_rows)).round().astype(int))
    each = max(1, n_rows // len(chosen))
    return pa.concat_tables([empty, *(_first(source, groups[i], columns, each) for i in chosen)])


def _first(source: ParquetTable, group: RowGroup, columns: Sequence[str], n_rows: int) -> pa.Table:
    n_rows = min(n_rows, group.n_rows)
    pieces, missing = [], n_rows
    for rows, _ in read_groups(source, [group], columns, _AT_ONCE, group.first_row + n_rows):
        pieces.append(rows.slice(0, missing))
        missing -= pieces[-1].num_rows
        if missing <= 0:
            break
    return pa.concat_tables(pieces)
