"""Planning a job: roles, order, boundaries, chunks and memory, before a row of data is read."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from emberharmony.arrow import TICKS_PER_DAY, text_columns, tick_unit
from emberharmony.errors import DataError, PlanError
from emberharmony.features.columns import ColumnRoles, assign_roles
from emberharmony.features.kinds.registry import kind_named
from emberharmony.io.sources.base import RowGroups, RowOrder, Source, TableInfo, TiesOrdered, TimeCounts, TimeRange
from emberharmony.io.sources.registry import open_source
from emberharmony.pipeline.pushdown import check_profile
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.pipeline.split_checks import check_components, check_method, check_rows
from emberharmony.pipeline.vocabulary import categorical_columns, vocabulary_bounds
from emberharmony.planning.chunks import (
    NO_ROWS,
    Chunk,
    TimeBucket,
    check_chunk_rows,
    cut_rows,
    cut_times,
    joined,
    least_shared,
    time_at_rank,
    time_buckets,
)
from emberharmony.planning.memory import Beside, MemoryPlan, RowSizes, plan_memory
from emberharmony.planning.resident import resident_bytes
from emberharmony.splits import TimeBoundaries
from emberharmony.threads import compute_threads
from emberharmony.typing import IntArray

_COUNTS_AT_ONCE = 8  # queries, while the rows of crowded times are counted


@dataclass(frozen=True)
class Resources:
    """What a run may use; none of it changes the result."""

    chunk_rows: int | None = None
    max_memory_gb: float = 4.0
    workers: int = 1
    backend: str | None = None
    may_be_fewer: bool = False  # workers, where memory is scarce
    beside: Beside | None = None  # other processes of the job


@dataclass(frozen=True)
class Plan:
    """A job, planned."""

    spec: PipelineSpec
    table: TableInfo
    roles: ColumnRoles
    fingerprint: str
    chunks: tuple[Chunk, ...]
    n_rows: int  # that take part
    n_null_times: int  # that do not
    n_shared_times: int  # at least so many share their time with another row
    boundaries: TimeBoundaries | None
    memory: MemoryPlan
    in_order: bool


@dataclass(frozen=True)
class _Layout:
    """The order of the rows: by groups that follow one another, or by buckets of time."""

    groups: IntArray | None
    buckets: list[TimeBucket]
    n_null: int
    resolution: int = 1
    n_shared: int = 0  # rows that are certain to share their time with another


def make_plan(spec: PipelineSpec, resources: Resources) -> Plan:
    """Plan a job from its table's metadata (and, where rows are out of order, its time column).

    Raises
    ------
    PlanError
        If columns contradict the table, or memory does not suffice.
    DataError
        If the table cannot be read, is empty, has rows without a time that may not be dropped, or no target in any row.
    """
    source = open_source(spec.source)
    table = source.describe()
    if not table.n_rows:
        raise DataError(f"{table.name} has no rows; there is nothing to fit features on.")
    check_method(spec)
    roles = assign_roles(table.schema, spec.columns, also=spec.split.keys)
    if roles.target and source.is_all_null(roles.target):
        raise DataError(
            f"The target {roles.target!r} is null in every row: there is nothing to learn. Name another `columns.target`, or "
            f"leave it out to make features alone."
        )
    check_profile(spec, source, table.schema, roles)
    return plan_table(spec, resources, source, table, roles)


def plan_table(
    spec: PipelineSpec,
    resources: Resources,
    source: Source,
    table: TableInfo,
    roles: ColumnRoles,
    widths: Mapping[str, int] | None = None,
) -> Plan:
    """Plan a job whose columns' roles are known; `widths` are their numbers of features, where a state knows them."""
    check_rows(spec, table.n_rows)
    check_chunk_rows(resources.chunk_rows, table.n_rows)
    groups = _groups_in_order(source, spec.columns.time) if table.n_rows else np.empty(0, np.int64)
    reserved = resident_bytes()

    def plan_with(widths: Mapping[str, int], *, in_order: bool) -> tuple[RowSizes, MemoryPlan]:
        sizes = _row_sizes(table, roles, spec, widths, in_order=in_order)
        return sizes, plan_memory(
            sizes,
            n_rows=max(table.n_rows, 1),
            chunk_rows=resources.chunk_rows,
            window_size=spec.windows.size,
            n_strides=len(spec.windows.strides),
            n_workers=resources.workers,
            reserved_bytes=reserved,
            allowed_bytes=int(resources.max_memory_gb * 2**30),
            may_be_fewer=resources.may_be_fewer,
            n_threads=compute_threads(),
            is_fitted=not spec.job.fits,
            beside=resources.beside,
        )

    def planned(*, in_order: bool) -> tuple[RowSizes, MemoryPlan]:
        try:
            return plan_with(widths or {}, in_order=in_order)
        except PlanError:
            # Metadata tells full vocabularies only. Before they refuse a small table, its categories are counted.
            names = categorical_columns(roles, spec.features)
            if widths is not None or not names:
                raise
            # Refused here if it does not fit whatever the categories are.
            plan_with(_widths(roles, spec, dict.fromkeys(names, 0)), in_order=in_order)
            n_distinct = vocabulary_bounds(source, table, names, max_categories=spec.categories.max_categories)
            if not n_distinct:
                raise
            return plan_with(_widths(roles, spec, n_distinct), in_order=in_order)

    sizes, memory = planned(in_order=groups is not None)
    check_components(spec, n_rows=table.n_rows, n_features=sizes.n_features)
    layout = _lay_out(source, spec, groups, memory.chunk_rows) if table.n_rows else _Layout(groups, [], 0)
    if groups is not None and layout.groups is None:  # row groups in order, but not the rows inside
        sizes, memory = planned(in_order=False)
        layout = _lay_out(source, spec, None, memory.chunk_rows)
    if layout.groups is None:
        chunks = cut_times(layout.buckets, memory.chunk_rows)
        memory = memory.with_chunk(max(chunk.n_rows for chunk in chunks), sizes)
        n_rows = sum(bucket.n_rows for bucket in layout.buckets)
    else:
        chunks = cut_rows(layout.groups, memory.chunk_rows) or [NO_ROWS]
        n_rows = table.n_rows
    if layout.n_null:
        check_rows(spec, n_rows)
        check_components(spec, n_rows=n_rows, n_features=sizes.n_features)
    by_time = spec.job.fits and spec.split_method == "temporal"
    return Plan(
        spec=spec,
        table=table,
        roles=roles,
        fingerprint=spec.fingerprint(table.identity),
        chunks=tuple(chunks),
        n_rows=n_rows,
        n_null_times=layout.n_null,
        n_shared_times=layout.n_shared if spec.columns.time else 0,
        boundaries=_boundaries(source, table, spec, layout, n_rows) if by_time else None,
        memory=memory,
        in_order=layout.groups is not None,
    )


def _groups_in_order(source: Source, time: str | None) -> IntArray | None:
    """Rows of each row group, if the groups are stored in the job's order."""
    return source.row_groups(time) if isinstance(source, RowGroups) else None


def _lay_out(source: Source, spec: PipelineSpec, groups: IntArray | None, chunk_rows: int) -> _Layout:
    """Find the rows' order; a table whose row groups follow one another in time costs nothing."""
    order = source.order(spec.columns.time)
    if order is None or (
        isinstance(source, RowGroups) and groups is not None and source.is_sorted_within(order.column, chunk_rows)
    ):
        return _Layout(groups, [], 0, n_shared=_least_shared_in(source, order, groups) if order and groups is not None else 0)
    by = order.column
    span = source.time_range(by)
    if span.n_null and spec.columns.time is None:
        raise DataError(f"The key {by!r} is null in {span.n_null:,} rows, which have no place in its order; choose another.")
    if span.n_null and spec.columns.null_time == "error":
        raise DataError(
            f"{span.n_null:,} rows have no time in {by!r}, so they have no place in the order. Set "
            f"`columns: {{null_time: drop}}` to leave them out, or fill them in the source."
        )

    buckets = _buckets(source, order, span, chunk_rows)
    n_shared = least_shared(buckets, resolution=order.resolution)
    crowded = [bucket for bucket in buckets if order.then and bucket.n_rows > chunk_rows]
    with ThreadPoolExecutor(_COUNTS_AT_ONCE) as pool:
        parts = dict(zip(crowded, pool.map(lambda bucket: _parted(source, order, bucket, chunk_rows), crowded), strict=True))
    buckets = [part for bucket in buckets for part in parts.get(bucket, [bucket])]
    return _Layout(None, buckets, span.n_null, order.resolution, n_shared)


def _least_shared_in(source: Source, order: RowOrder, groups: IntArray) -> int:
    """Rows of a table in time order that are certain to share their time with another row: more rows than times."""
    span = source.time_range(order.column)
    return least_shared([TimeBucket(span.first, span.last + order.resolution, int(groups.sum()))], resolution=order.resolution)


def _parted(source: Source, order: RowOrder, crowd: TimeBucket, chunk_rows: int) -> list[TimeBucket]:
    """The rows of a single time, by ranges of what breaks ties."""
    then = order.then
    assert then is not None
    assert isinstance(source, TiesOrdered)
    inside = source.within(order.column, crowd.start, crowd.stop)
    span = inside.time_range(then.column)
    if span.n_null:  # these rows are in no range
        return [crowd]
    parts = _buckets(inside, then, span, chunk_rows)
    return [replace(crowd, n_rows=part.n_rows, ties=(part.start, part.stop)) for part in parts]


def _buckets(source: TimeCounts, order: RowOrder, span: TimeRange, chunk_rows: int) -> list[TimeBucket]:
    """Rows by what orders them, counted finely enough for chunks to be filled to a sixteenth."""
    fine = time_buckets(
        lambda start, width, n_buckets: source.count_times(order.column, start, width, n_buckets),
        span.first,
        span.last,
        max_rows=max(chunk_rows // 2, 1),
        resolution=order.resolution,
        partitions=order.partitions,
    )
    return list(joined(fine, max_rows=chunk_rows // 16))  # a quarter of a million buckets would be 40 MB


def _boundaries(source: Source, table: TableInfo, spec: PipelineSpec, layout: _Layout, n_rows: int) -> TimeBoundaries:
    time = spec.columns.time
    assert time is not None
    gap = round(spec.split.gap.total_seconds() * TICKS_PER_DAY[tick_unit(table.schema.field(time).type)] / 86_400)

    def at_rank(rank: int) -> int:
        if layout.groups is None:
            return time_at_rank(
                layout.buckets,
                rank,
                lambda start, stop: source.times_between(time, start, stop),
                resolution=layout.resolution,
            )
        assert isinstance(source, RowGroups)
        times, first_row = source.times_of_rows(time, rank, rank + 1)
        return int(np.sort(times)[rank - first_row])

    return TimeBoundaries.of(spec.split, n_rows, at_rank, gap)


def _widths(roles: ColumnRoles, spec: PipelineSpec, n_distinct: Mapping[str, int]) -> dict[str, int]:
    """Most features of each column, given the distinct values of some."""
    return {c.name: kind_named(c.kind).width(spec.features, n_distinct=n_distinct.get(c.name)) for c in roles.features}


def _row_sizes(
    table: TableInfo, roles: ColumnRoles, spec: PipelineSpec, widths: Mapping[str, int], *, in_order: bool
) -> RowSizes:
    widths = {**_widths(roles, spec, {}), **widths}
    columns = {*roles.to_read, *spec.split.keys, *table.always_read}
    read = sum(table.bytes_per_row[name] for name in columns)
    # Of a text, Arrow doubles the buffer that it has outgrown, and keeps both for a while.
    texts = columns.intersection(text_columns(table.schema), table.stored_bytes_per_row)
    carried = 8 + sum(table.bytes_per_row[name] for name in roles.carried)
    stored = {**table.bytes_per_row, **table.stored_bytes_per_row}  # of what is counted, each value stands there once
    counted = {column.name: kind_named(column.kind).counted(spec.features) for column in roles.features}
    return RowSizes(
        read,
        carried,
        n_features=sum(widths.values()),
        in_order=in_order,
        n_numbers=list(counted.values()).count("numbers"),
        category_bytes=sum(stored[name] + 16 for name, what in counted.items() if what == "categories"),
        in_flight_bytes=table.in_flight_bytes,
        decoding_bytes=max((table.bytes_per_row[name] for name in texts), default=0.0),
    )
