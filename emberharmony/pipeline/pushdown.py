"""The profile by query: one statement where the table is stored, instead of a pass over its rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from emberharmony.errors import PlanError
from emberharmony.features.columns import ColumnRoles, FeatureColumn
from emberharmony.features.kinds.registry import kind_named
from emberharmony.features.profile import ColumnProfile
from emberharmony.io.sources.base import ColumnFigures, Source
from emberharmony.io.sources.capabilities import ProfiledByQuery
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.splits import TimeBoundaries
from emberharmony.stats.categories import CategoryCounts
from emberharmony.stats.moments import Moments
from emberharmony.stats.quantiles import Quantiles


def check_profile(spec: PipelineSpec, source: Source, schema: pa.Schema, roles: ColumnRoles) -> None:
    """Refuse a profile by query that the table cannot give, or that has to see the rows.

    Parameters
    ----------
    spec : PipelineSpec
        The job.
    source : Source
        Its table.
    schema : Schema
        The table's columns.
    roles : ColumnRoles
        What the job does with them.

    Raises
    ------
    PlanError
        If `source.profile` is ``query`` and cannot be.
    """
    if not spec.source.profiles_by_query:
        return
    reason = _why_not_by_query(spec, source, schema, roles)
    if reason:
        raise PlanError(f"{reason} Set `source.profile: stream`.")


def _why_not_by_query(spec: PipelineSpec, source: Source, schema: pa.Schema, roles: ColumnRoles) -> str | None:
    if not isinstance(source, ProfiledByQuery):
        return f"`source.profile: query` needs a table that can run queries; {spec.source} cannot."
    if spec.columns.entities:
        return "`source.profile: query` does not read the rows, and `columns.entity` needs them in the order of their series."
    if spec.split_method != "temporal":
        return (
            f"`source.profile: query` selects training rows by their time, which needs `split.method: temporal`; this job's "
            f"is {spec.split_method}."
        )
    for column in roles.features:
        reason = kind_named(column.kind).why_not_aggregated(schema.field(column.name).type, spec.features)
        if reason:
            return f"`source.profile: query` cannot profile {column.name!r}: {reason}."
    return None


def profile_by_query(
    source: Source, spec: PipelineSpec, features: Sequence[FeatureColumn], boundaries: TimeBoundaries
) -> dict[str, ColumnProfile]:
    """Profile the training rows of the whole table by one statement; medians and rare categories are approximate."""
    assert isinstance(source, ProfiledByQuery)  # as planned, see `check_profile`
    assert spec.columns.time is not None
    before, top = boundaries.validation - boundaries.gap, max(spec.categories.max_categories, 100)
    figures = source.profile_by_query(features, time=spec.columns.time, before=before, top=top)
    return {column.name: column_profile(figures[column.name]) for column in features}


def column_profile(figures: ColumnFigures) -> ColumnProfile:
    """Return figures as the profile that chunks of rows would merge into, as far as figures allow."""
    return ColumnProfile(
        n_rows=figures.n_rows,
        n_null=figures.n_null,
        n_nonfinite=figures.n_nonfinite,
        moments=figures.moments,
        quantiles=_quantiles(figures.quantiles, figures.moments),
        categories=_categories(figures.top),
        features=(),
    )


def _quantiles(cuts: Sequence[float], moments: Moments) -> Quantiles:
    """Return quantiles in which each cut stands for an equal share of the rows."""
    if not moments.count:
        return Quantiles.empty()
    ends = np.round(np.linspace(0, moments.count, len(cuts) + 1)).astype(np.int64)
    keys, place = np.unique(np.asarray(cuts, np.float64), return_inverse=True)
    counts = np.bincount(place, weights=np.diff(ends), minlength=len(keys)).astype(np.int64)
    return Quantiles(keys[counts > 0], counts[counts > 0])


def _categories(top: Sequence[tuple[str, int]]) -> CategoryCounts:
    values, counts = zip(*top, strict=True) if top else ((), ())
    return CategoryCounts(pa.table({"value": pa.array(values, pa.large_string()), "count": pa.array(counts, pa.int64())}))
