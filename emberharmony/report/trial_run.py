"""A job, run on a few of its rows on this machine: what all rows will take follows from it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
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
from emberharmony.pipeline.stages import ARRANGING, FIT_PCAS, Stage, run_stage
from emberharmony.pipeline.state import FittedState
from emberharmony.report.plan_figures import TrialFigures
from emberharmony.series import Segment
from emberharmony.steps.featurize import state_pays, window_states
from emberharmony.threads import compute_threads, limit_compute_threads
from emberharmony.windows import WindowSpec

_FIRST_ROWS = 1_000
"""Rows of a smaller trial: what both take is the overhead of a chunk, whatever its rows."""
_LEAST_RATIO = 2
_PRODUCT_ROWS, _PRODUCT_BYTES = 32_768, 64 * 2**20
"""Bounds on the rows that products of windows are timed on: of fewer, they take longer by the row."""


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
        pq.write_table(rows.slice(0, _FIRST_ROWS), first)
        with suppress(EmberharmonyError):  # libraries are imported in this run, so its time does not count
            _run(_TrialJob(job, _NoWindows("windows"), first, Path(folder) / "warm-up"))
        for i, change in enumerate(_CHANGES):
            if not change.applies(plan.spec):
                continue
            few, whole = (_TrialJob(job, change, of, Path(folder) / f"{of.stem}-{i}") for of in (first, source))
            try:
                trial = _run(whole)
            except EmberharmonyError as error:
                problem = problem or str(error)
                continue
            overhead = None
            if rows.num_rows >= _LEAST_RATIO * _FIRST_ROWS:
                with suppress(EmberharmonyError):  # they are too few
                    overhead = _run(few)
            return _figures(plan, trial, overhead, rows, change.without, read_s_per_row=slower_by / rows.num_rows)
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


@dataclass(frozen=True)
class _Trial:
    """A trial that has ended."""

    manifest: Manifest
    seconds: Mapping[Stage, float]
    backend: str

    @property
    def n_rows(self) -> int:
        return self.manifest.source_rows

    @property
    def result_bytes(self) -> int:
        return sum(file.n_bytes for file in self.manifest.files if file.name.startswith(("features/", "windows/")))


def _run(job: _TrialJob) -> _Trial:
    watch = _Watch()
    with limit_compute_threads(max(1, compute_threads() // job._job.resources.workers)):
        result = run_job(job, _Inline(), watch)
    return _Trial(result.manifest, watch.seconds, watch.backend)


def _figures(
    plan: Plan, trial: _Trial, few: _Trial | None, rows: pa.Table, without: str, *, read_s_per_row: float
) -> TrialFigures:
    """Extrapolate: stages of a chunk take time by the row and by the chunk, and others once."""
    n_rows, n_chunks = trial.n_rows, len(plan.chunks)
    at_once = min(plan.memory.n_workers, n_chunks)

    def of_all(amount: float, of_few: float | None) -> float:
        """What all chunks together have of something, given a trial's and that of one with fewer rows."""
        if few is None or of_few is None or few.n_rows >= n_rows:
            return amount / n_rows * plan.n_rows
        by_row = max(amount - of_few, 0.0) / (n_rows - few.n_rows)
        return by_row * plan.n_rows + max(amount - by_row * n_rows, 0.0) * n_chunks

    by_stage = {"read": read_s_per_row * plan.n_rows * n_reads(plan) / at_once}
    if plan.inputs and not any(stage in ARRANGING for stage in trial.seconds):
        by_stage["arrange"] = (plan.levels + 1) * of_all(_arranging_seconds(rows), None) / at_once
    s_per_row = 0.0
    if plan.spec.job.fits and without != "windows":
        s_per_row = _products_s_per_row(plan.spec.windows, trial.manifest)
    for stage, seconds in trial.seconds.items():
        if stage is FIT_PCAS:
            # Of few rows, the fit of the PCAs makes the products that the features' stage makes of many.
            n_train = trial.manifest.rows["train"]
            once = max(seconds - s_per_row * n_train, 0.0)
            by_stage[stage.title] = once + of_all(s_per_row * n_train, None) / at_once
        elif stage.once:
            by_stage[stage.title] = seconds
        else:
            by_stage[stage.title] = of_all(seconds, few.seconds.get(stage) if few else None) / at_once
    return TrialFigures(
        rows=n_rows,
        backend=trial.backend,
        seconds=round(sum(by_stage.values()), 3),
        seconds_by_stage={title: round(seconds, 3) for title, seconds in by_stage.items()},
        result_bytes=int(of_all(trial.result_bytes, few.result_bytes if few else None)),
        features=len(trial.manifest.features),
        without=without,
    )


def _arranging_seconds(rows: pa.Table) -> float:
    """What it takes to partition rows, write them and read them again."""
    began = time.perf_counter()
    stream = pa.BufferOutputStream()
    order = np.random.default_rng(0).permutation(rows.num_rows)
    with pa.ipc.new_stream(stream, rows.schema) as writer:
        writer.write_table(rows.take(pa.array(order)))
    pa.ipc.open_stream(stream.getvalue()).read_all().take(pa.array(np.argsort(order)))
    return time.perf_counter() - began


def _products_s_per_row(windows: WindowSpec, manifest: Manifest) -> float:
    """What the products of the training windows take where the fit of the PCAs makes them; 0 where the chunks do."""
    n_features, n_rows = len(manifest.features), manifest.rows["train"]
    if not windows.strides or state_pays(4 * n_features * n_rows, windows, n_features):
        return 0.0
    n_rows = max(2 * windows.reach, min(_PRODUCT_ROWS, _PRODUCT_BYTES // (4 * n_features)))
    block = np.random.default_rng(0).random((n_features, n_rows), np.float32)
    began = time.perf_counter()
    window_states(Segment(0, block), windows)
    return (time.perf_counter() - began) / n_rows


def n_reads(plan: Plan) -> int:
    """Return how often the job's stages read the table: once if they arrange its rows first, else in each that needs rows."""
    if plan.inputs:
        return 1
    return 2 if plan.spec.job.fits and not plan.spec.source.profiles_by_query else 1
