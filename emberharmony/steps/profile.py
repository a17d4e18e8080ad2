"""Profile the training rows of a chunk."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from emberharmony.errors import about_column
from emberharmony.features.columns import FeatureColumn
from emberharmony.features.kinds.registry import kind_named
from emberharmony.features.profile import ColumnProfile
from emberharmony.features.specs import FeatureSpecs


def profile_rows(rows: pa.Table, columns: Sequence[FeatureColumn], specs: FeatureSpecs) -> dict[str, ColumnProfile]:
    """Return the mergeable profile of every feature column of some training rows."""
    profiles = {}
    for column in columns:
        with about_column(column.name):
            profiles[column.name] = kind_named(column.kind).profile(rows[column.name], specs)
    return profiles
