"""Counting a small table's categories, where their largest possible number would refuse the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from emberharmony.errors import about_column
from emberharmony.features.columns import ColumnRoles
from emberharmony.features.kinds.categorical import strings
from emberharmony.features.kinds.registry import kind_named
from emberharmony.features.specs import FeatureSpecs
from emberharmony.io.sources.base import Source, TableInfo
from emberharmony.io.sources.capabilities import RowGroups
from emberharmony.planning.chunks import cut_rows

MAX_COUNTED_BYTES = 2**28
"""Columns whose categories exceed this size in files are not counted before the profile."""

_ROWS_AT_ONCE = 16_384


def categorical_columns(roles: ColumnRoles, specs: FeatureSpecs) -> list[str]:
    """Return the columns whose categories a profile counts."""
    return [column.name for column in roles.features if kind_named(column.kind).counted(specs) == "categories"]


def vocabulary_bounds(source: Source, table: TableInfo, names: Sequence[str], *, max_categories: int) -> Mapping[str, int]:
    """Return the number of distinct values of columns of categories, or `max_categories` where there are more.

    Reads these columns of a small table whose rows have an order of their own (Parquet); of any other table, returns nothing.
    """
    n_bytes = table.n_rows * sum(table.bytes_per_row[name] for name in names)
    groups = source.row_groups(None) if n_bytes <= MAX_COUNTED_BYTES and isinstance(source, RowGroups) else None
    if groups is None:
        return {}
    seen = {name: pa.array([], pa.large_string()) for name in names}
    for chunk in cut_rows(groups, _ROWS_AT_ONCE):
        few = [name for name in names if len(seen[name]) < max_categories]
        rows = source.read(chunk, few, time=None)
        for name in few:
            with about_column(name):
                found = pc.unique(strings(rows[name]).drop_null())
            seen[name] = pc.unique(pa.concat_arrays([seen[name], found]))[:max_categories]
    return {name: len(values) for name, values in seen.items()}
