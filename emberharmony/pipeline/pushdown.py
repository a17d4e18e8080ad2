"""Profiling where the data lies: one statement in BigQuery instead of a pass over the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from emberharmony.arrow import ticks
from emberharmony.errors import PlanError
from emberharmony.features.columns import FeatureColumn
from emberharmony.features.profile import ColumnProfile
from emberharmony.io.sources.bigquery.profile import ColumnFigures, ProfileSpec
from emberharmony.io.sources.bigquery.source import BigQuerySource
from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec
from emberharmony.messages import listed
from emberharmony.pipeline.run import Run
from emberharmony.planning.chunks import Chunk
from emberharmony.splits import SplitCodes, TimeBoundaries, split_by_time
from emberharmony.stats.categories import CategoryCounts
from emberharmony.stats.moments import Moments
from emberharmony.stats.quantiles import Quantiles

ReadChunk = Callable[[Run, Chunk, Sequence[str]], pa.Table]


def is_pushed_down(run: Run) -> bool:
    """Whether the job asks for its profile to be computed where the data lies.

    Raises
    ------
    PlanError
        If it does, and the profile needs what only the rows themselves tell.
    """
    source = run.spec.source
    if not isinstance(source, BigQuerySourceSpec) or source.profile != "query":
        return False
    if run.boundaries is None:
        raise PlanError(
            f"`source.profile: query` needs `split.method: temporal`, by which BigQuery can tell training rows; this job's is "
            f"{run.spec.split_method}. Set `source.profile: stream`."
        )
    if run.spec.datetime.epoch:
        raise PlanError(
            "`source.profile: query` knows no times as numbers, which `datetime.epoch` asks for. Set `source.profile: stream`."
        )
    if run.spec.numbers.scale == "all":
        raise PlanError(
            "`source.profile: query` knows no cyclical features, which `numbers.scale: all` scales. Set "
            "`source.profile: stream`."
        )
    floats = [c.name for c in run.roles.features if c.kind == "categorical" and _is_float(run.schema.field(c.name).type)]
    if floats:
        raise PlanError(
            f"BigQuery writes fractions otherwise than this library: no categories of {listed(floats)} can be counted "
            f"there. Set `source.profile: stream`."
        )
    return True


def split_without_reading(run: Run, chunk: Chunk, read: ReadChunk) -> SplitCodes:
    """Code of each row's split; only the times of chunks that a boundary cuts are read."""
    boundaries, time = run.boundaries, run.spec.columns.time
    assert boundaries is not None
    assert time is not None
    assert chunk.times is not None
    start, stop = chunk.times
    if not any(start < edge < stop for edge in _edges(boundaries)):
        return np.repeat(split_by_time(np.array([start]), boundaries), chunk.n_rows)
    return split_by_time(ticks(read(run, chunk, [time])[time])[0], boundaries)


def profile_by_query(run: Run) -> dict[str, ColumnProfile]:
    """Profile the training rows of the whole table by one statement; medians and top categories are approximate."""
    assert isinstance(run.source, BigQuerySource)
    assert run.boundaries is not None
    before = run.boundaries.validation - run.boundaries.gap
    spec = ProfileSpec(top=max(run.spec.categories.max_categories, 100))
    figures = run.source.profile(run.roles.features, time=run.spec.columns.time, before=before, spec=spec)
    return {column.name: column_profile(column, figures[column.name]) for column in run.roles.features}


def column_profile(column: FeatureColumn, figures: ColumnFigures) -> ColumnProfile:
    """Return figures as the state that chunks of rows would have been merged into, as nearly as they tell."""
    return ColumnProfile(
        n_rows=figures.n_rows,
        n_null=figures.n_null,
        n_nonfinite=figures.n_nonfinite,
        moments=figures.moments,
        quantiles=_quantiles(figures.quantiles, figures.moments),
        categories=_categories(figures.top) if column.kind == "categorical" else CategoryCounts.empty(),
        cycles=(),
    )


def _quantiles(cuts: Sequence[float], moments: Moments) -> Quantiles:
    """Every cut stands for an equal share of the rows."""
    if not moments.count:
        return Quantiles.empty()
    ends = np.round(np.linspace(0, moments.count, len(cuts) + 1)).astype(np.int64)
    keys, place = np.unique(np.asarray(cuts, np.float64), return_inverse=True)
    counts = np.bincount(place, weights=np.diff(ends), minlength=len(keys)).astype(np.int64)
    return Quantiles(keys[counts > 0], counts[counts > 0])


def _categories(top: Sequence[tuple[str, int]]) -> CategoryCounts:
    values, counts = zip(*top, strict=True) if top else ((), ())
    return CategoryCounts(pa.table({"value": pa.array(values, pa.large_string()), "count": pa.array(counts, pa.int64())}))


def _edges(boundaries: TimeBoundaries) -> list[int]:
    firsts = (boundaries.validation, boundaries.test)
    return [edge - gap for edge in firsts for gap in (0, boundaries.gap)]


def _is_float(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_decimal(kind))
