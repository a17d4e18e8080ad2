"""Report what a job would do, before it reads any rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from emberharmony.arrow import tick_unit
from emberharmony.errors import DataError
from emberharmony.expectations.checks import count_bounds
from emberharmony.expectations.spec import OnFailure
from emberharmony.io.manifest import MANIFEST
from emberharmony.io.sinks.registry import open_sink
from emberharmony.io.store.address import without_query
from emberharmony.io.store.opening import open_store, result_at
from emberharmony.io.store.result import Result
from emberharmony.messages import shortened, size_text
from emberharmony.pipeline.execute import plan_job, target_of
from emberharmony.pipeline.job import Job
from emberharmony.pipeline.plan import Plan
from emberharmony.pipeline.plan_file import StagedPlan
from emberharmony.pipeline.receipts import receipt_names
from emberharmony.pipeline.result_size import kept_bytes, result_bytes
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.planning.chunks import LAST_TICK
from emberharmony.report.markdown import table_row
from emberharmony.report.state_changes import state_text
from emberharmony.report.summary import MANY, MIXED
from emberharmony.slices import Slice
from emberharmony.splits import NEVER, SPLITS

MAX_TYPE_CHARS = 60
"""Characters of a column's type that are shown; nested types list all their fields and can be long."""


class ColumnLine(NamedTuple):
    """A column of the table and its role in the job."""

    name: str
    type: str
    role: str
    note: str


@dataclass(frozen=True)
class PlanReport:
    """A plan as lines of text."""

    lines: tuple[tuple[str, str], ...]
    columns: tuple[ColumnLine, ...]

    def markdown(self) -> str:
        """Return the report as two Markdown tables."""
        facts, columns = map(table_row, self.lines), map(table_row, self.columns)
        header = ["", "| column | type | role | |", "|---|---|---|---|"]
        return "\n".join(["| | |", "|---|---|", *facts, *header, *columns])


def plan_report(job: Job) -> PlanReport:
    """Plan a job and report what it would do.

    Raises
    ------
    EmberharmonyError
        If the job cannot run.
    """
    plan, _ = plan_job(job, make=False)
    open_sink(job.sink).check()
    return PlanReport(tuple(_lines(job, plan)), tuple(_columns(plan)))


def _lines(job: Job, plan: Plan) -> Iterator[tuple[str, str]]:
    spec, memory = plan.spec, plan.memory
    read = {*plan.roles.to_read, *spec.split_keys}
    n_bytes = plan.table.n_rows * sum(plan.table.bytes_per_row[name] for name in read)
    yield "job", f"{spec.kind}, fingerprint {plan.fingerprint}"
    if plan.applied_state:
        yield "state", state_text(plan.applied_state)
    if spec.slice is not None:
        yield "slice", _slice(spec.slice, spec)
    yield (
        "table",
        f"{plan.table.n_rows:,} rows; {len(read)} of {len(plan.table.schema)} columns are read, {size_text(n_bytes)} decoded",
    )
    if plan.n_null_times:
        yield "left out", f"{plan.n_null_times:,} rows without a time"
    yield "order", _order(plan)
    copy = plan.table.copy
    if copy is not None:
        until = f" until {copy.expires:%Y-%m-%d %H:%M %Z}" if copy.expires else ""
        stored = f"{'' if copy.is_made else 'about '}{size_text(copy.stored_bytes)} stored{until}"
        made = "scanned to make it" if copy.is_made else "scanned when the run makes it"
        yield "copy", f"{copy.name}: {size_text(copy.scanned_bytes)} {made}, {stored}"
    if plan.inputs:
        pieces = "piece" if len(plan.inputs) == 1 else "pieces"
        into = f"{len(plan.inputs):,} {pieces} of the table into {len(plan.chunks):,} chunks"
        yield "arrange", f"{into}; about {size_text(plan.arranged_bytes)} of disk until the job ends"
    yield "split", _split(plan)
    sizes = [chunk.n_rows for chunk in plan.chunks]
    yield "chunks", f"{len(sizes):,} of {min(sizes):,} to {max(sizes):,} rows"
    yield (
        "memory",
        (
            f"{size_text(memory.projected_bytes)} projected "
            f"({memory.n_workers} workers at {size_text(memory.chunk_bytes)} each, "
            f"{size_text(memory.fixed_bytes)} for the fit, {size_text(memory.reserved_bytes)} in use before), "
            f"{size_text(memory.allowed_bytes)} allowed"
        ),
    )
    if spec.job.publishes_rows:
        yield "disk", _disk(job, plan)
    strides = ", ".join(map(str, spec.windows.strides))
    yield "windows", f"{spec.windows.size} rows, strides {strides}{_gap(plan)}" if strides else "none"
    if spec.windows.halo and plan.n_shared_times > MANY * plan.n_rows:
        shared = f"at least {plan.n_shared_times:,} of {plan.n_rows:,} rows share their time with another row"
        yield "warning", f"{shared}: {MIXED}"
    if spec.windows.halo and spec.split_method == "hash" and not {*spec.split_keys} <= {*spec.columns.entities}:
        yield "", "rows with equal keys must be adjacent; the profile counts the changes of key"
    if job.expect.has_bounds:
        yield "expect", _expected(count_bounds(job.expect, {column.name: column.kind for column in plan.roles.features}))
    yield "staging", without_query(_place_of(job).address_of_run(StagedPlan.of(plan).run_name))
    yield "sink", f"{without_query(job.sink.path)}: {_target(job, plan)}"


def _expected(bounds: Counter[OnFailure]) -> str:
    """How many numbers are judged, and what becomes of the job if one is out of bounds."""
    n, n_fail, n_warn = bounds.total(), bounds["fail"], bounds["warn"]
    outcomes = [*([f"{n_fail:,} can fail the job"] if n_fail else []), *([f"{n_warn:,} only warn"] if n_warn else [])]
    return f"{n:,} {'bound' if n == 1 else 'bounds'}, judged before anything is published: {', '.join(outcomes)}"


def _order(plan: Plan) -> str:
    columns = plan.spec.columns
    by = ", ".join([*columns.entities, *filter(None, [columns.time])])
    if not by:
        return plan.spec.source.order_text
    if plan.table.copy is not None and plan.table.copy.is_arranged:
        return f"by {by}, as the server has arranged them in a copy"
    if plan.in_order:
        return f"by {by}, already in this order"
    return f"by {by}, {'arranged first' if plan.inputs else 'in time ranges'}: the table is in another order"


def _slice(part: Slice, spec: PipelineSpec) -> str:
    """The slice, and what a job that applies a state reads before it."""
    text = f"{part.name}: {part.start:%Y-%m-%d %H:%M} to {part.stop:%Y-%m-%d %H:%M %Z}"
    if spec.job.fits or not (spec.windows.lookback and spec.windows.strides):
        return text
    before = str(spec.windows.lookback).removesuffix(", 0:00:00")
    return f"{text}, and {before} before it for windows that end in it"


def _gap(plan: Plan) -> str:
    gap = plan.spec.windows.max_gap
    return f"; a series ends where the time jumps by more than {gap}" if gap else ""


def _split(plan: Plan) -> str:
    spec = plan.spec
    if not spec.job.fits:
        return "none: every row is in one series" + (" with the others of its entity" if spec.columns.entities else "")
    shares = ", ".join(f"{name} {share:.0%}" for name, share in zip(SPLITS, spec.split.fractions, strict=True))
    if spec.split_method == "sequential":
        first, second = (f"row {rank:,}" if rank < plan.n_rows else "no row" for rank in spec.split.ranks(plan.n_rows))
        return f"sequential: {shares}; validation begins at {first}, test at {second} of the order"
    if plan.boundaries is None:
        by = f" of {', '.join(spec.split_keys)}" if spec.split_keys else f", seed {spec.split.seed}"
        return f"{spec.split_method}{by}: {shares}"
    type_ = plan.table.schema.field(spec.columns.time).type
    first, second = (_moment(ticks, type_) for ticks in (plan.boundaries.validation, plan.boundaries.test))
    gap = f", gap {spec.split.gap}" if spec.split.gap else ""
    return f"temporal: {shares}; validation begins at {first}, test at {second}{gap}"


def _moment(ticks: int, type_: pa.DataType) -> str:
    if ticks == NEVER:
        return "no row"
    # NumPy formats years of any length; its smallest value means "not a time".
    time = np.int64(max(ticks, -LAST_TICK)).astype(f"datetime64[{tick_unit(type_)}]")
    moment = np.datetime_as_string(time, unit="s", casting="unsafe")
    zone = " UTC" if pa.types.is_timestamp(type_) and type_.tz else ""
    return f"{str(moment).replace('T', ' ')}{zone}"


def _target(job: Job, plan: Plan) -> str:
    try:
        if target_of(job, plan) is not None:
            return "already holds this result; there is nothing to do"
    except DataError as error:
        return f"the job would be refused. {error}"
    place, name = _place_of(job), StagedPlan.of(plan).run_name
    done = len(receipt_names(open_store(place.address_of_run(name))))
    if done:
        return f"resumes an interrupted run; {done:,} stages of chunks are done"
    earlier = place.published.exists(MANIFEST)
    return "replaces an earlier run's result; its rows stay where they were published" if earlier else "empty"


def _disk(job: Job, plan: Plan) -> str:
    """What the result takes, and together with the earlier results that stay beside it."""
    n_bytes, keep = result_bytes(plan), job.sink.keep_versions
    text = f"at most about {size_text(n_bytes)} for the result"
    if not keep:
        return text
    kept = kept_bytes(n_bytes, _place_of(job).versions(), keep=keep)
    results = "earlier result stays" if keep == 1 else "earlier results stay"
    return f"{text}, {size_text(kept)} once {keep} {results} beside it (`sink.keep_versions`)"


def _place_of(job: Job) -> Result:
    return result_at(job.sink.path)


def _columns(plan: Plan) -> Iterator[ColumnLine]:
    roles, spec = plan.roles, plan.spec.columns
    kinds = {column.name: column.kind for column in roles.features}
    dropped = {column.name: column.reason for column in roles.dropped}
    width = {"numeric": "1 feature", "boolean": "1 feature", "datetime": f"{plan.spec.datetime.n_features} features"}
    for field in plan.table.schema:
        name = field.name
        carried = [
            role
            for role, names in {
                "entity": roles.entity,
                "time": (roles.time,),
                "target": (roles.target,),
                "passthrough": roles.passthrough,
            }.items()
            if name in names
        ]
        role = ", ".join([*carried, *filter(None, [kinds.get(name)])])
        note = ""
        if name in kinds:
            note = width.get(kinds[name], f"up to {plan.spec.categories.max_categories + 2} features")
            note += " (configured)" if name in spec.categorical else ""
        elif not carried:
            role, note = "dropped", dropped.get(name, "not one of the fitted columns")
        yield ColumnLine(name, shortened(str(field.type), MAX_TYPE_CHARS), role, note)
