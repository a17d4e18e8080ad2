"""Planning a job: roles, order, boundaries, chunks and memory, before a row of data is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from emberharmony.arrow import tick_unit, ticks_of
from emberharmony.errors import DataError
from emberharmony.features.columns import ColumnRoles, assign_roles
from emberharmony.io.sources.base import Source, TableInfo
from emberharmony.io.sources.registry import open_source
from emberharmony.pipeline.arrangement import input_chunks, is_scattered, job_order, series_layout
from emberharmony.pipeline.layout import (
    Layout,
    empty_layout,
    groups_in_order,
    is_stored_in_order,
    sorted_layout,
    stored_layout,
)
from emberharmony.pipeline.pushdown import check_profile
from emberharmony.pipeline.row_sizes import JobColumns, plan_rows
from emberharmony.pipeline.server_layout import is_arranged, server_layout
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.pipeline.split_checks import check_components, check_method, check_rows
from emberharmony.planning.chunk_groups import partition_levels
from emberharmony.planning.chunks import Chunk, check_chunk_rows
from emberharmony.planning.memory import Beside, Counting, MemoryPlan, MemoryRequest, input_rows
from emberharmony.planning.merge_tree import NO_MERGES, MergeLevels
from emberharmony.planning.merging import Merging
from emberharmony.planning.resident import resident_bytes
from emberharmony.planning.stage_bytes import RowSizes
from emberharmony.splits import TimeBoundaries
from emberharmony.threads import compute_threads


@dataclass(frozen=True)
class Resources:
    """What a run may use; none of it changes the result."""

    chunk_rows: int | None = None
    max_memory_gb: float = 4.0
    workers: int = 1
    backend: str | None = None
    may_be_fewer: bool = False  # whether to use fewer workers if memory is scarce
    beside: Beside | None = None  # other processes of the job
    ahead: int = 0  # chunks for each worker that are read or written while it computes another one, where memory allows it


@dataclass(frozen=True)
class Plan:
    """A planned job."""

    spec: PipelineSpec
    table: TableInfo
    roles: ColumnRoles
    fingerprint: str
    chunks: tuple[Chunk, ...]
    n_rows: int  # in chunks
    n_null_times: int  # rows left out, because they have no time
    n_shared_times: int  # least number of rows that share their time with another row
    boundaries: TimeBoundaries | None
    memory: MemoryPlan
    in_order: bool
    inputs: tuple[Chunk, ...] = ()  # pieces of the table whose rows are arranged first
    merges: MergeLevels = NO_MERGES  # of states, before the stages that fit
    applied_state: Mapping[str, str] = field(default_factory=dict)  # its address and fingerprint, if one is applied

    @property
    def levels(self) -> int:
        """How often the rows are partitioned to arrange them."""
        return partition_levels(self.inputs, self.chunks)

    @property
    def arranged_row_bytes(self) -> float:
        """Bytes of the columns of a row that are read, as they are arranged."""
        names = {*self.roles.to_read, *self.spec.split_keys}
        return 8 + sum(self.table.bytes_per_row[name] for name in names)  # eight of the row number

    @property
    def arranged_bytes(self) -> int:
        """Bytes on disk of the rows that are arranged first: as often as they are partitioned, and once in the job's order."""
        return int((self.levels + 1) * self.n_rows * self.arranged_row_bytes) if self.inputs else 0


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
    roles = assign_roles(table.schema, spec.columns, also=spec.split_keys)
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
    """Plan a job whose columns have roles already.

    Parameters
    ----------
    spec : PipelineSpec
        The job.
    resources : Resources
        What it may use.
    source : Source
        Its table.
    table : TableInfo
        The description of the table, which may have no rows.
    roles : ColumnRoles
        What the job does with its columns.
    widths : mapping of str to int, optional
        Features of each column, in a job that applies a state.

    Raises
    ------
    PlanError, DataError
        See `make_plan`.
    """
    time = spec.columns.time
    for name in (*roles.to_read, *spec.split.keys):
        if name in table.unreadable:
            raise DataError(table.unreadable[name])
    check_rows(spec, table.n_rows)
    check_chunk_rows(resources.chunk_rows, table.n_rows)
    job, request = JobColumns(spec, source, table, roles, widths), _memory_request(spec, resources, table.n_rows)
    order = job_order(spec, table.schema)
    groups = groups_in_order(source, time) if table.n_rows and not order.entity else None
    sizes, memory = plan_rows(job, request, in_order=groups is not None)
    check_components(spec, n_rows=table.n_rows, n_features=sizes.n_features)
    inputs = partial(input_chunks, source, spec.columns)
    if not table.n_rows:
        layout = empty_layout()
    elif is_arranged(source):
        memory, _ = memory.with_counting(Counting(table.n_rows), n_threads=1)
        layout = server_layout(source, spec.columns, memory.chunk_rows)
    elif order.entity:
        pieces = inputs(input_rows(sizes, memory))
        row_bytes = sum(table.bytes_per_row[name] for name in order.columns)
        counting = Counting(table.n_rows, max(piece.n_rows for piece in pieces), row_bytes)
        memory, n_threads = memory.with_counting(counting, n_threads=compute_threads())
        layout = series_layout(source, spec.columns, order, pieces, memory.chunk_rows, n_threads=n_threads)
    elif groups is not None and is_stored_in_order(source, groups, time, memory.chunk_rows):
        layout = stored_layout(source, groups, time, memory.chunk_rows)
    else:
        if groups is not None:  # the groups follow one another, but the rows inside have to be sorted
            sizes, memory = plan_rows(job, request, in_order=False)
        layout = sorted_layout(source, spec.columns, memory.chunk_rows)
        if time is not None and is_scattered(source, time, layout):
            layout = replace(layout, inputs=inputs(input_rows(sizes, memory)))
    if layout.n_null:
        check_rows(spec, layout.n_rows)
        check_components(spec, n_rows=layout.n_rows, n_features=sizes.n_features)
    merging = _merging(spec, layout, sizes)
    by_time = spec.job.fits and spec.split_method == "temporal"
    return Plan(
        spec=spec,
        table=table,
        roles=roles,
        fingerprint=spec.fingerprint(table.identity),
        chunks=tuple(layout.chunks),
        n_rows=layout.n_rows,
        n_null_times=layout.n_null,
        n_shared_times=layout.n_shared,
        boundaries=_boundaries(spec, table, layout) if by_time else None,
        memory=_memory_of(layout, memory, sizes, merging, ahead=resources.ahead),
        in_order=layout.in_order,
        inputs=tuple(layout.inputs),
        merges=merging.levels,
    )


def _memory_of(layout: Layout, memory: MemoryPlan, sizes: RowSizes, merging: Merging, *, ahead: int) -> MemoryPlan:
    planned = memory.with_chunk(max(chunk.n_rows for chunk in layout.chunks), sizes)
    planned = planned.with_inputs(max((piece.n_rows for piece in layout.inputs), default=0), sizes)
    planned = planned.with_merging(merging.chunk_bytes)
    return planned.with_ahead(ahead * planned.n_workers, max(len(layout.chunks), len(layout.inputs)))


def _merging(spec: PipelineSpec, layout: Layout, sizes: RowSizes) -> Merging:
    if not spec.job.fits:
        return Merging(NO_MERGES, 0)
    return Merging.planned(
        sizes,
        layout.chunks,
        window_size=spec.windows.size,
        n_strides=len(spec.windows.strides),
        has_profiles=not spec.source.profiles_by_query,
    )


def _memory_request(spec: PipelineSpec, resources: Resources, n_rows: int) -> MemoryRequest:
    return MemoryRequest(
        n_rows=max(n_rows, 1),
        chunk_rows=resources.chunk_rows,
        window_size=spec.windows.size,
        n_strides=len(spec.windows.strides),
        n_workers=resources.workers,
        reserved_bytes=resident_bytes(),
        allowed_bytes=int(resources.max_memory_gb * 2**30),
        may_be_fewer=resources.may_be_fewer,
        n_threads=compute_threads(),
        is_fitted=not spec.job.fits,
        beside=resources.beside or Beside(),
    )


def _boundaries(spec: PipelineSpec, table: TableInfo, layout: Layout) -> TimeBoundaries:
    unit = tick_unit(table.schema.field(spec.columns.time).type)
    gap = ticks_of(spec.split.gap, unit)
    return TimeBoundaries.of(spec.split, layout.n_rows, layout.times_at_ranks, gap)
