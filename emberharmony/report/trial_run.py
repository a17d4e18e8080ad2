"""A job, run on a few of its rows on this machine: what all rows will take follows from it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from emberharmony.errors import EmberharmonyError
from emberharmony.expectations.spec import ExpectSpec
from emberharmony.io.manifest import Manifest
from emberharmony.io.sinks.base import SinkSpec
from emberharmony.io.sinks.parquet.spec import ParquetSinkSpec
from emberharmony.io.sources.base import SourceSpec
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.pipeline.callback import Callback
from emberharmony.pipeline.events import ItemDone, JobPlanned, StageEnded, StageStarted
from emberharmony.pipeline.execute import run_job
from emberharmony.pipeline.job import Job
from emberharmony.pipeline.plan import Plan, Resources
from emberharmony.pipeline.run import RunRef
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.pipeline.stages import Stage, run_stage
from emberharmony.pipeline.state import FittedState
from emberharmony.report.plan_figures import TrialFigures
from emberharmony.threads import compute_threads, limit_compute_threads

_WARM_UP_ROWS = 1_000
"""Rows of a first trial, whose time does not count: libraries are imported in it."""


def trial_run(job: Job, plan: Plan, rows: pa.Table, *, read_seconds: float) -> TrialFigures | str:
    """Run a job on some rows of its table, and return what follows for all of them; or why it cannot be run on them.

    If so few rows have no windows, the job is run as if they were one series, and at last without windows.

    Parameters
    ----------
    job : Job
        The job.
    plan : Plan
        Its plan for the whole table.
    rows : pyarrow.Table
        Rows of the table, with all columns that it reads.
    read_seconds : float
        What it took to read them.
    """
    problem = ""
    with tempfile.TemporaryDirectory(prefix="emberharmony-") as folder:
        source = Path(folder) / "sample.parquet"
        pq.write_table(rows, source)
        began = time.perf_counter()
        pq.read_table(source)
        # The trial reads its rows, too: only what the table's own place takes longer is added.
        slower_by = max(read_seconds - (time.perf_counter() - began), 0.0)
        first = Path(folder) / "first.parquet"
        pq.write_table(rows.slice(0, _WARM_UP_ROWS), first)
        for i, change in enumerate(_CHANGES):
            if not change.applies(plan.spec):
                continue
            with suppress(EmberharmonyError):  # too few rows; the second run says whether more of them suffice
                _run(_TrialJob(job, change, first, Path(folder) / f"first-{i}"))
            try:
                manifest, watch = _run(_TrialJob(job, change, source, Path(folder) / f"out-{i}"))
            except EmberharmonyError as error:
                problem = problem or str(error)
            else:
                return _figures(plan, manifest, watch, change.without, read_s_per_row=slower_by / rows.num_rows)
    return problem


@dataclass(frozen=True)
class _Change:
    """How a job is made to run on a few rows."""

    without: str

    def applies(self, spec: PipelineSpec) -> bool:
        """Whether it makes a difference."""
        return True

    def of(self, spec: PipelineSpec) -> PipelineSpec:
        """The changed job."""
        return spec


class _OneSeries(_Change):
    def applies(self, spec: PipelineSpec) -> bool:
        return spec.job.fits and bool(spec.windows.strides) and bool(spec.columns.entities)

    def of(self, spec: PipelineSpec) -> PipelineSpec:
        columns = spec.columns
        carried = (*columns.passthrough, *columns.entities)
        split = replace(spec.split, method=None, keys=()) if spec.split_keys else spec.split
        windows = replace(spec.windows, max_gap=None)
        return replace(spec, columns=replace(columns, entity=(), passthrough=carried), split=split, windows=windows)


class _NoWindows(_Change):
    def applies(self, spec: PipelineSpec) -> bool:
        return spec.job.fits and bool(spec.windows.strides)

    def of(self, spec: PipelineSpec) -> PipelineSpec:
        return replace(spec, windows=replace(spec.windows, strides=()))


_CHANGES = (_Change(""), _OneSeries("entities"), _NoWindows("windows"))


class _TrialJob:
    """The job, of other rows and for another place."""

    def __init__(self, job: Job, change: _Change, source: Path, sink: Path) -> None:
        self._job, self._change = job, change
        self.source: SourceSpec = ParquetSourceSpec(str(source))
        self.sink: SinkSpec = ParquetSinkSpec(str(sink))
        self.expect = ExpectSpec()
        self.is_spread = False
        self.parity_check = 0.0
        self.state_address, self.backend = job.state_address, job.backend

    def with_state(self, address: str) -> Self:
        return type(self)(self._job.with_state(address), self._change, Path(self.source.addresses[0]), Path(self.sink.path))

    @property
    def resources(self) -> Resources:
        of = self._job.resources
        return Resources(None, of.max_memory_gb, workers=1, backend=of.backend, may_be_fewer=True)

    def threads_of(self, workers: int) -> int | None:
        return None

    def spec_for(self, state: FittedState | None) -> PipelineSpec:
        spec = self._job.spec_for(state)
        # Its table has no columns but those that the job reads.
        return self._change.of(replace(spec, source=self.source, columns=replace(spec.columns, drop=())))


class _Inline:
    """Runs every stage here, one chunk after the other."""

    name = "trial"

    def map(self, stage: Stage, ref: RunRef, chunks: Sequence[int]) -> Iterator[ItemDone]:
        for chunk in chunks:
            yield run_stage(stage.name, ref, chunk)


@dataclass
class _Watch(Callback):
    """Takes the time of every stage."""

    seconds: dict[Stage, float] = field(default_factory=dict)
    backend: str = ""
    _began: float = 0.0

    def planned(self, event: JobPlanned) -> None:
        self.backend = event.backend

    def stage_started(self, event: StageStarted) -> None:
        self._began = time.perf_counter()

    def stage_ended(self, event: StageEnded) -> None:
        self.seconds[event.stage] = time.perf_counter() - self._began


def _run(job: _TrialJob) -> tuple[Manifest, _Watch]:
    watch = _Watch()
    with limit_compute_threads(max(1, compute_threads() // job._job.resources.workers)):
        result = run_job(job, _Inline(), watch)
    return result.manifest, watch


def _figures(plan: Plan, manifest: Manifest, watch: _Watch, without: str, *, read_s_per_row: float) -> TrialFigures:
    """Extrapolate: stages of a chunk take time by the row, and others once."""
    n_rows = manifest.source_rows
    times = plan.n_rows / n_rows / min(plan.memory.n_workers, len(plan.chunks))
    by_stage = {stage.title: seconds * (1.0 if stage.once else times) for stage, seconds in watch.seconds.items()}
    reads = read_s_per_row * plan.n_rows * n_reads(plan) / min(plan.memory.n_workers, len(plan.chunks))
    by_stage = {"read": reads, **by_stage}
    stored = sum(file.n_bytes for file in manifest.files if not file.name.startswith("state/"))
    return TrialFigures(
        rows=n_rows,
        backend=watch.backend,
        seconds=round(sum(by_stage.values()), 3),
        seconds_by_stage={title: round(seconds, 3) for title, seconds in by_stage.items()},
        result_bytes=int(stored * plan.n_rows / n_rows),
        features=len(manifest.features),
        without=without,
    )


def n_reads(plan: Plan) -> int:
    """Return how often the job's stages read the table: once if they arrange its rows first, else in each that needs rows."""
    if plan.inputs:
        return 1
    return 2 if plan.spec.job.fits and not plan.spec.source.profiles_by_query else 1
