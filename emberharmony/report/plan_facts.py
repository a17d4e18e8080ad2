"""Compute the figures of a plan from the plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa

from emberharmony.arrow import tick_unit
from emberharmony.errors import DataError
from emberharmony.features.kinds.registry import kind_named
from emberharmony.io.manifest import MANIFEST
from emberharmony.io.sources.registry import open_source
from emberharmony.io.store.address import without_query
from emberharmony.io.store.opening import open_store, result_at
from emberharmony.io.store.result import Result
from emberharmony.pca import n_components
from emberharmony.pipeline.execute import target_of
from emberharmony.pipeline.job import Job
from emberharmony.pipeline.plan import Plan
from emberharmony.pipeline.plan_file import StagedPlan
from emberharmony.pipeline.receipts import receipt_names
from emberharmony.pipeline.result_size import kept_bytes, result_bytes
from emberharmony.planning.chunks import LAST_TICK
from emberharmony.report.plan_figures import (
    ByteFigures,
    ChunkFigures,
    CopyFigures,
    MemoryFigures,
    MergeFigures,
    OrderFigures,
    PlanFigures,
    PlannedColumn,
    PlanWarning,
    SampleFigures,
    SeriesFigures,
    SplitFigures,
    StrideFigures,
    TableFigures,
)
from emberharmony.report.plan_sample import is_charged
from emberharmony.report.trial_run import n_reads
from emberharmony.splits import NEVER, SPLITS
from emberharmony.windows import n_windows

EXACT_SPLITS = ("sequential",)
"""Methods whose splits have exactly the rows of their fractions."""


def place_of(job: Job) -> Result:
    """Return where the job publishes."""
    return result_at(job.sink.path)


def plan_figures(
    job: Job, plan: Plan, warnings: Iterable[PlanWarning] = (), sample: SampleFigures | None = None
) -> PlanFigures:
    """Return a plan in figures; `warnings` and `sample` are carried along."""
    spec, memory, sizes = plan.spec, plan.memory, [chunk.n_rows for chunk in plan.chunks]
    read = {*plan.roles.to_read, *spec.split_keys}
    decoded = int(plan.table.n_rows * sum(plan.table.bytes_per_row[name] for name in read))
    n_result = result_bytes(plan)
    kept = kept_bytes(n_result, place_of(job).versions(), keep=job.sink.keep_versions) if n_result else 0
    copy = plan.table.copy
    return PlanFigures(
        kind=spec.kind,
        fingerprint=plan.fingerprint,
        slice=spec.slice.name if spec.slice else None,
        sink=without_query(job.sink.path),
        target=target_text(job, plan),
        table=TableFigures(plan.table.name, plan.table.n_rows, len(plan.table.schema), len(read), plan.n_null_times),
        columns=tuple(planned_columns(plan)),
        order=OrderFigures(
            by=(*spec.columns.entities, *filter(None, [spec.columns.time])),
            is_stored=plan.in_order,
            levels=plan.levels if plan.inputs else 0,
            pieces=len(plan.inputs),
        ),
        split=_split(plan),
        series=_series(plan, sample),
        window_size=spec.windows.size,
        windows=tuple(_windows(plan)),
        chunks=ChunkFigures(len(sizes), min(sizes), max(sizes)),
        memory=MemoryFigures(
            memory.projected_bytes,
            memory.allowed_bytes,
            memory.n_workers,
            memory.n_ahead,
            memory.chunk_bytes,
            memory.fixed_bytes,
            memory.reserved_bytes,
        ),
        bytes=ByteFigures(
            decoded=decoded,
            read=decoded * n_reads(plan),
            arranged=plan.arranged_bytes,
            result=n_result,
            kept=kept,
            charged=decoded * n_reads(plan) if is_charged(open_source(plan.spec.source)) else 0,
        ),
        copy=None
        if copy is None
        else CopyFigures(
            copy.name,
            copy.scanned_bytes,
            copy.stored_bytes,
            copy.is_made,
            copy.expires.isoformat() if copy.expires else None,
            copy.scan_usd,
        ),
        merges=tuple(_merges(plan)),
        warnings=tuple(warnings),
        sample=sample,
    )


def planned_columns(plan: Plan) -> Iterator[PlannedColumn]:
    """Yield every column of the table with its roles, and why it has them."""
    roles, spec = plan.roles, plan.spec.columns
    kinds = {column.name: column.kind for column in roles.features}
    dropped = {column.name: column.reason for column in roles.dropped}
    settings: Mapping[str, tuple[str | None, ...]] = {
        "entity": roles.entity,
        "time": (roles.time,),
        "target": (roles.target,),
        "passthrough": roles.passthrough,
    }
    for field in plan.table.schema:
        name = field.name
        carried = [role for role, names in settings.items() if name in names]
        kind = kinds.get(name)
        reasons = [f"`columns.{role}`" for role in carried]
        if kind is not None and name in spec.chosen_kinds:
            reasons.append("`columns.categorical`" if name in spec.categorical else "`columns.kinds`")
        elif kind is not None and not carried:
            reasons.append("its type")
        elif not carried:
            reasons.append(dropped.get(name, "not one of the fitted columns"))
        yield PlannedColumn(
            name=name,
            type=str(field.type),
            roles=(*carried, *(["feature"] if kind else [])) or ("dropped",),
            kind=kind,
            reason=", ".join(reasons),
            most_features=kind_named(kind).width(plan.spec.features) if kind else 0,
        )


def moment_text(ticks: int, type_: pa.DataType) -> str:
    """Return a time of a column's type for people; ``no row`` for the first time of an empty split."""
    if ticks == NEVER:
        return "no row"
    # NumPy formats years of any length; its smallest value means "not a time".
    time = np.int64(max(ticks, -LAST_TICK)).astype(f"datetime64[{tick_unit(type_)}]")
    moment = np.datetime_as_string(time, unit="s", casting="unsafe")
    zone = " UTC" if pa.types.is_timestamp(type_) and type_.tz else ""
    return f"{str(moment).replace('T', ' ')}{zone}"


def target_text(job: Job, plan: Plan) -> str:
    """Return what is at the sink, and what the job does about it."""
    try:
        if target_of(job, plan) is not None:
            return "already holds this result; there is nothing to do"
    except DataError as error:
        return f"the job would be refused. {error}"
    place, name = place_of(job), StagedPlan.of(plan).run_name
    done = len(receipt_names(open_store(place.address_of_run(name))))
    if done:
        return f"resumes an interrupted run; {done:,} stages of chunks are done"
    earlier = place.published.exists(MANIFEST)
    return "replaces an earlier run's result; its rows stay where they were published" if earlier else "empty"


def _merges(plan: Plan) -> Iterator[MergeFigures]:
    staged = StagedPlan.of(plan)
    for tree in (staged.profile_tree, staged.gram_tree):
        for level in range(1, tree.n_levels + 1):
            groups = tree.groups(level)
            yield MergeFigures(tree.stages[level], groups.n_chunks, groups.n_groups, groups.size)


def _split(plan: Plan) -> SplitFigures:
    spec, n_rows = plan.spec, plan.n_rows
    if not spec.job.fits:
        return SplitFigures("none", dict.fromkeys(spec.job.splits, n_rows), True, {})
    first, second = spec.split.ranks(n_rows)
    rows = dict(zip(SPLITS, (first, second - first, n_rows - second), strict=True))
    begins = {}
    if plan.boundaries is not None:
        type_ = plan.table.schema.field(spec.columns.time).type
        ticks = {"validation": plan.boundaries.validation, "test": plan.boundaries.test}
        begins = {name: moment_text(at, type_) for name, at in ticks.items()}
    return SplitFigures(spec.split_method, rows, spec.split_method in EXACT_SPLITS, begins)


def _series(plan: Plan, sample: SampleFigures | None) -> SeriesFigures | None:
    entity = plan.roles.entity
    if not entity:
        return None
    seen = sample.entities if sample else None
    return SeriesFigures(entity, seen, round(plan.n_rows / seen, 1) if seen else None)


def _windows(plan: Plan) -> Iterator[StrideFigures]:
    """Yield the windows of each stride, as if each split were one series: series that end make fewer."""
    spec = plan.spec
    windows, rows = spec.windows, _split(plan).rows
    reach = windows.reach if plan.roles.target else windows.size
    n_features = sum(kind_named(column.kind).width(spec.features) for column in plan.roles.features)
    are_at_most = bool(plan.roles.entity or windows.max_gap)
    for stride in windows.strides:
        # Of many series, every window could begin in another one.
        counts = {name: -(-n // stride) if plan.roles.entity else n_windows(reach, stride, n) for name, n in rows.items()}
        total = windows.size * n_features + 1
        components = n_components(spec.pca, size=windows.size, n_features=n_features, n_windows=total)
        yield StrideFigures(stride, counts, are_at_most, components)
