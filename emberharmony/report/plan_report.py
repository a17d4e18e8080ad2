"""Report what a job would do, before it reads any rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from emberharmony.expectations.checks import count_bounds
from emberharmony.expectations.spec import OnFailure
from emberharmony.features.kinds.registry import kind_named
from emberharmony.io.sinks.registry import open_sink
from emberharmony.io.store.address import without_query
from emberharmony.messages import count_of, duration_text, shortened, size_text, usd_text
from emberharmony.pipeline.execute import plan_job
from emberharmony.pipeline.job import Job
from emberharmony.pipeline.plan import Plan
from emberharmony.pipeline.plan_file import StagedPlan
from emberharmony.pipeline.result_size import kept_bytes, result_bytes
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.pipeline.stages import STAGES
from emberharmony.planning.memory import MemoryPlan
from emberharmony.report.markdown import table_row
from emberharmony.report.plan_facts import moment_text, place_of, plan_figures
from emberharmony.report.plan_figures import (
    ByteFigures,
    PlanFigures,
    PlannedColumn,
    SeriesFigures,
    SplitFigures,
    StrideFigures,
)
from emberharmony.report.plan_sample import SampleSize, sample_plan
from emberharmony.report.plan_warnings import plan_warnings, sample_warnings
from emberharmony.report.state_changes import state_text
from emberharmony.slices import Slice
from emberharmony.splits import SPLITS

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
    """A plan as lines of text, and in figures."""

    lines: tuple[tuple[str, str], ...]
    columns: tuple[ColumnLine, ...]
    figures: PlanFigures

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is worth a look, a sentence each."""
        return tuple(warning.text for warning in self.figures.warnings)

    def markdown(self) -> str:
        """Return the report as two Markdown tables, and a list of the warnings."""
        facts, columns = map(table_row, self.lines), map(table_row, self.columns)
        header = ["", "| column | type | role | |", "|---|---|---|---|"]
        warnings = ["", "Worth a look:", "", *(f"* {warning}" for warning in self.warnings)] if self.warnings else []
        return "\n".join(["| | |", "|---|---|", *facts, *header, *columns, *warnings])


def plan_report(job: Job, sample: SampleSize | None = None) -> PlanReport:
    """Plan a job and report what it would do.

    Parameters
    ----------
    job : Job
        The job.
    sample : SampleSize, optional
        Rows to read, for estimates of time and size, and for warnings about values; by default only metadata are read.

    Raises
    ------
    EmberharmonyError
        If the job cannot run, or its table not be sampled.
    """
    plan, _ = plan_job(job, make=False)
    open_sink(job.sink).check()
    warnings, sampled = [*plan_warnings(plan)], None
    if sample is not None:
        found = sample_plan(job, plan, sample)
        warnings, sampled = [*warnings, *sample_warnings(plan, found.rows)], found.figures
    figures = plan_figures(job, plan, warnings, sampled)
    return PlanReport(tuple(_lines(job, plan, figures)), tuple(map(_column_line, figures.columns)), figures)


def _lines(job: Job, plan: Plan, figures: PlanFigures) -> Iterator[tuple[str, str]]:
    spec, memory = plan.spec, plan.memory
    yield "job", f"{spec.kind}, fingerprint {plan.fingerprint}"
    if plan.applied_state:
        yield "state", state_text(plan.applied_state)
    if spec.slice is not None:
        yield "slice", _slice(spec.slice, spec)
    yield (
        "table",
        f"{plan.table.n_rows:,} rows; {figures.table.columns_read} of {figures.table.columns} columns are read, "
        f"{size_text(figures.bytes.decoded)} decoded{_times(figures.bytes)}",
    )
    if figures.bytes.charged:
        yield "cost", f"{size_text(figures.bytes.charged)} read through the Storage Read API, which BigQuery charges"
    if plan.n_null_times:
        yield "left out", f"{count_of(plan.n_null_times, 'row')} without a time"
    yield "order", _order(plan)
    copy = plan.table.copy
    if copy is not None:
        until = f" until {copy.expires:%Y-%m-%d %H:%M %Z}" if copy.expires else ""
        stored = f"{'' if copy.is_made else 'about '}{size_text(copy.stored_bytes)} stored{until}"
        made = "scanned to make it" if copy.is_made else "scanned when the run makes it"
        made += "" if copy.scan_usd is None else f" ({usd_text(copy.scan_usd)})"
        yield "copy", f"{copy.name}: {size_text(copy.scanned_bytes)} {made}, {stored}"
    if plan.inputs:
        into = f"{count_of(len(plan.inputs), 'piece')} of the table into {count_of(len(plan.chunks), 'chunk')}"
        yield "arrange", f"{into}; about {size_text(plan.arranged_bytes)} of disk until the job ends"
    yield "split", _split(plan)
    sizes = [chunk.n_rows for chunk in plan.chunks]
    yield "chunks", f"{len(sizes):,} of {min(sizes):,} to {max(sizes):,} rows"
    for merge in figures.merges:
        groups = f"{merge.states:,} states in {count_of(merge.groups, 'group')} of up to {merge.fan_in}"
        yield STAGES[merge.stage].title, groups
    yield (
        "memory",
        (
            f"{size_text(memory.projected_bytes)} projected "
            f"({count_of(memory.n_workers, 'worker')}{_ahead(memory)} at {size_text(memory.chunk_bytes)} each, "
            f"{size_text(memory.fixed_bytes)} for the fit, {size_text(memory.reserved_bytes)} in use before), "
            f"{size_text(memory.allowed_bytes)} allowed"
        ),
    )
    if spec.job.publishes_rows:
        yield "disk", _disk(job, plan)
    strides = ", ".join(map(str, spec.windows.strides))
    yield "windows", f"{spec.windows.size} rows, strides {strides}{_gap(plan)}" if strides else "none"
    for stride in figures.windows:
        yield "", _stride_text(stride, figures.split)
    if figures.windows:
        most = max(stride.most_components for stride in figures.windows)
        yield "pca", f"up to {count_of(most, 'component')} of each stride"
    if figures.series is not None:
        yield "series", _series_text(figures.series)
    if spec.windows.halo and spec.split_method == "hash" and not {*spec.split_keys} <= {*spec.columns.entities}:
        yield "", "rows with equal keys must be adjacent; the profile counts the changes of key"
    if job.expect.has_bounds:
        yield "expect", _expected(count_bounds(job.expect, {column.name: column.kind for column in plan.roles.features}))
    yield from _sample_lines(figures)
    yield "staging", without_query(place_of(job).address_of_run(StagedPlan.of(plan).run_name))
    yield "sink", f"{figures.sink}: {figures.target}"


def _ahead(memory: MemoryPlan) -> str:
    """The chunks that are in memory beside those of the workers."""
    if not memory.n_ahead:
        return ""
    return f" and {count_of(memory.n_ahead, 'chunk')} read or written meanwhile,"


def _times(n_bytes: ByteFigures) -> str:
    """How often they are read."""
    n = n_bytes.read // max(n_bytes.decoded, 1)
    return f", {n} times" if n > 1 else ""


def _stride_text(stride: StrideFigures, split: SplitFigures) -> str:
    about = "at most " if stride.are_at_most else "" if split.are_exact or split.method == "none" else "about "
    counts = ", ".join(f"{n:,} {name}" for name, n in stride.windows.items())
    return f"stride {stride.stride}: {about}{counts}"


def _series_text(series: SeriesFigures) -> str:
    by = ", ".join(series.entity)
    if series.least_entities is None:
        return f"by {by}; how many there are needs rows, see --sample"
    return f"by {by}; at least {series.least_entities:,}, of at most {series.most_mean_rows:,.1f} rows on average"


def _sample_lines(figures: PlanFigures) -> Iterator[tuple[str, str]]:
    """What a sample says, or what would need one."""
    sample, table = figures.sample, figures.table
    if sample is None:
        yield "estimates", "time, size of the result and warnings about values need rows: add --sample 1%"
        return
    rows = "all" if sample.is_whole else f"{sample.rows:,} of {table.rows:,}"
    charged = ", charged by BigQuery as read" if sample.is_charged else ""
    yield "sample", f"{rows} rows, {size_text(sample.read_bytes)}{charged}, read in {sample.read_seconds:.2f} s"
    trial = sample.trial
    if trial is None:
        yield "time", f"no estimate: the job cannot be run on these rows. {sample.problem}"
        return
    without = f", without {trial.without}, for which they are too few" if trial.without else ""
    longest = sorted(trial.seconds_by_stage.items(), key=lambda item: -item[1])[:3]
    yield (
        "time",
        f"about {duration_text(trial.seconds)} here, on {trial.backend}: an estimate from {trial.rows:,} rows{without}",
    )
    yield "", "most of it: " + ", ".join(f"{title} {duration_text(seconds)}" for title, seconds in longest)
    yield "output", f"about {size_text(trial.result_bytes)}, with {trial.features:,} features in these rows"


def _expected(bounds: Counter[OnFailure]) -> str:
    """How many numbers are judged, and what becomes of the job if one is out of bounds."""
    n, n_fail, n_warn = bounds.total(), bounds["fail"], bounds["warn"]
    outcomes = [*([f"{n_fail:,} can fail the job"] if n_fail else []), *([f"{n_warn:,} only warn"] if n_warn else [])]
    return f"{count_of(n, 'bound')}, judged before anything is published: {', '.join(outcomes)}"


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
    first, second = (moment_text(ticks, type_) for ticks in (plan.boundaries.validation, plan.boundaries.test))
    gap = f", gap {spec.split.gap}" if spec.split.gap else ""
    return f"temporal: {shares}; validation begins at {first}, test at {second}{gap}"


def _disk(job: Job, plan: Plan) -> str:
    """What the result takes, and together with the earlier results that stay beside it."""
    n_bytes, keep = result_bytes(plan), job.sink.keep_versions
    text = f"at most about {size_text(n_bytes)} for the result"
    if not keep:
        return text
    kept = kept_bytes(n_bytes, place_of(job).versions(), keep=keep)
    results = "earlier result stays" if keep == 1 else "earlier results stay"
    return f"{text}, {size_text(kept)} once {keep} {results} beside it (`sink.keep_versions`)"


def _column_line(column: PlannedColumn) -> ColumnLine:
    """A column as it is shown: the kind stands for the feature."""
    carried = [role for role in column.roles if role != "feature"]
    n = column.most_features
    note = f"no feature ({column.reason})" if "dropped" not in column.roles else column.reason
    if column.kind is not None:
        # Only categories make more features the more values there are.
        note = f"{'up to ' if kind_named(column.kind).is_sparse else ''}{n:,} feature{'s' if n > 1 else ''}"
        chosen = column.reason.rpartition("`columns.")[2].rstrip("`")
        note += f" (`columns.{chosen}`)" if chosen in ("categorical", "kinds") else ""
    role = ", ".join([*carried, *filter(None, [column.kind])])
    return ColumnLine(column.name, shortened(column.type, MAX_TYPE_CHARS), role, note)
