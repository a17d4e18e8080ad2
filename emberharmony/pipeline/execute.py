"""The job as a sentence: plan it, have an engine map each stage over its pending chunks, and publish."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

from emberharmony.backend import select, using_backend
from emberharmony.errors import DamagedError, PlanError, TerminalError
from emberharmony.io.manifest import MANIFEST, Manifest, read_manifest
from emberharmony.io.sinks.registry import open_sink
from emberharmony.io.sources.registry import open_source
from emberharmony.io.store.opening import result_at
from emberharmony.io.store.result import Result
from emberharmony.pipeline.apply import plan_apply, stage_fitted
from emberharmony.pipeline.arrange import check_room
from emberharmony.pipeline.attempt import Attempt
from emberharmony.pipeline.callback import Callback, current_callback
from emberharmony.pipeline.events import JobPlanned, StageEnded, StageStarted
from emberharmony.pipeline.gates import check_gates
from emberharmony.pipeline.job import Engine, Job
from emberharmony.pipeline.peak_memory import PeakMemory, peak_bytes
from emberharmony.pipeline.plan import Plan, Resources, make_plan
from emberharmony.pipeline.publish import is_committed
from emberharmony.pipeline.published_slices import is_slice_there
from emberharmony.pipeline.retry import with_retries
from emberharmony.pipeline.run import Run, RunRef, open_run
from emberharmony.pipeline.run_page import report_output
from emberharmony.pipeline.spec import pinned
from emberharmony.pipeline.split_checks import check_method
from emberharmony.pipeline.stages import PUBLISH, Stage, stages_of_plan
from emberharmony.pipeline.staging import stage_plan, staged_chunk_rows
from emberharmony.pipeline.state import FittedState, read_state, roles_in
from emberharmony.pipeline.state_registry import with_resolved_state
from emberharmony.planning.resident import arrow_in_c_memory, release_memory
from emberharmony.threads import compute_threads, limit_compute_threads

MAX_ROUNDS = 3
"""How often a run repeats its stages because files that it wrote were damaged."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    """Result of a run: its manifest, where it was published, and what it took."""

    manifest: Manifest
    sink: str
    outputs: tuple[str, ...]  # folders, files and tables, the most useful first
    engine: str
    backend: str
    did_work: bool  # False: the result was published already
    seconds: float
    peak_bytes: int  # of this process, or of this process and its children
    projected_bytes: int

    @property
    def report(self) -> str | None:
        """Where the page that shows the run is; ``None`` if it wrote none."""
        return report_output(self.sink, self.manifest)

    @property
    def rows_per_second(self) -> float:
        """Rows of the source per second of the whole job."""
        return self.manifest.source_rows / self.seconds if self.seconds else 0.0


def run_job(
    job: Job, engine: Engine, callback: Callback | None = None, *, overwrite: bool = False, verify: bool = False
) -> RunResult:
    """Plan a job, run its pending stages, and publish it; stages that an earlier run has committed are not repeated.

    A `FitJob` ends after the fit of the PCAs, an `ApplyJob` needs neither profile nor fits.

    Raises
    ------
    EmberharmonyError
        If the job cannot be done; nothing was published then.
    """
    began, peak = time.perf_counter(), PeakMemory()
    job = with_resolved_state(job)  # once: a state that is published while the job runs is for the next one
    callback = callback or current_callback()
    backend = _chosen_backend(job.backend)  # first: a backend that is not installed is an error
    # A result that is published already needs no copy of the table.
    plan, state = plan_job(job, make=not _place_of(job).published.exists(MANIFEST))
    did_work = False
    manifest = _published(job, plan, overwrite=overwrite, verify=verify)
    if manifest is None:
        if plan.table.copy is not None and not plan.table.copy.is_made:
            plan, state = plan_job(job)
        place = _place_of(job)
        with place.lease():
            manifest = target_of(job, plan, overwrite=overwrite)  # an earlier run may just have ended
            if manifest is None:
                workers = min(plan.memory.n_workers, len(plan.chunks))
                ref = _staged(job, place, plan, state, backend, workers=workers, overwrite=overwrite)
                plan = replace(plan, table=plan.table.without_files())  # which are staged, and would stay as long as the job
                Attempt.now(engine.name, backend, workers).write(open_run(ref).store)
                callback.planned(JobPlanned(plan, backend, lambda: peak.latest_bytes))
                threads = max(1, compute_threads() // workers)
                with limit_compute_threads(threads), arrow_in_c_memory(), peak.sampling():
                    manifest, did_work = execute(ref, engine, callback, workers=workers), True
    if not did_work:
        _check_published(job, plan, manifest)
    return RunResult(
        manifest,
        sink=job.sink.path,
        outputs=open_sink(job.sink).outputs(manifest),
        engine=engine.name,
        backend=backend,
        did_work=did_work,
        seconds=time.perf_counter() - began,
        peak_bytes=max(peak_bytes(), peak.sampled_bytes),
        projected_bytes=plan.memory.projected_bytes,
    )


def _staged(
    job: Job, place: Result, plan: Plan, state: FittedState | None, backend: str, *, workers: int, overwrite: bool
) -> RunRef:
    """Stage the plan, the state that is applied, and the sink; returns the reference that tasks are given."""
    open_sink(job.sink).check()
    chosen = job.backend if job.is_spread else backend
    ref = stage_plan(plan, place, backend=chosen, discard=overwrite, sink=job.sink, expect=job.expect)
    threads, memory_for = job.threads_of(workers), plan.memory.most_workers
    ref = replace(ref, threads=threads, parity=job.parity_check, workers=memory_for, ahead=job.resources.ahead)
    run = open_run(ref)
    if state is not None:
        stage_fitted(state, run)
    return ref


def _check_published(job: Job, plan: Plan, published: Manifest) -> None:
    """Check that a result that was published earlier is complete, and remove what its run has left in staging."""
    place = _place_of(job)
    open_sink(job.sink).check_published(place.published, published)
    if place.has_leftovers():
        with suppress(TerminalError), place.lease():  # a run that works there removes them itself
            place.tidy(fingerprint=plan.fingerprint)


def is_published(job: Job, *, verify: bool = False) -> bool:
    """Whether exactly this result is published at its sink already."""
    if not _place_of(job).published.exists(MANIFEST):
        return False
    return _published(job, plan_job(job, make=False).plan, overwrite=False, verify=verify) is not None


def _published(job: Job, plan: Plan, *, overwrite: bool, verify: bool) -> Manifest | None:
    _place_of(job).recover(fingerprint=plan.fingerprint)
    return target_of(job, plan, overwrite=overwrite, verify=verify)


def target_of(job: Job, plan: Plan, *, overwrite: bool = False, verify: bool = False) -> Manifest | None:
    """Return the manifest if the job's very result is published already; see `Result.find`."""
    place = _place_of(job)
    accumulates = open_sink(job.sink).accumulates(place.published) or is_slice_there(plan.spec, place.published)
    return place.find(plan.fingerprint, overwrite=overwrite, accumulates=accumulates, verify=verify)


def _place_of(job: Job) -> Result:
    return result_at(job.sink.path, job.sink.mode, elsewhere=open_sink(job.sink).own_folders)


def check_credentials(job: Job) -> None:
    """Refuse a job without the credentials that it needs, before a server is started for it.

    Raises
    ------
    TerminalError
        If they are not there, or cannot be used.
    """
    job.source.check_credentials()
    open_sink(job.sink).check_credentials()


def execute(ref: RunRef, engine: Engine, callback: Callback, *, workers: int) -> Manifest:
    """Run the pending stages of a planned job, and publish it.

    What an earlier run has left is checked first. A file that is found damaged later is made again, up to `MAX_ROUNDS`
    times.
    """
    run = open_run(ref)
    is_done = is_committed(run)
    if not is_done:
        run.receipts.drop_damaged(n_threads=workers)
        if run.plan.inputs:
            check_room(run.arranged)
    for further in reversed(range(MAX_ROUNDS)):
        try:
            for stage in [PUBLISH] if is_done else stages_of_plan(run.plan):
                _map(stage, run, ref, engine, callback)
            break
        except DamagedError as damaged:
            if not further:
                raise
            _log.warning("%s It is made again.", damaged)
            run.receipts.invalidate(damaged.file)
            is_done = is_committed(run)
    manifest = read_manifest(run.result.published)
    assert manifest is not None
    return manifest


def _map(stage: Stage, run: Run, ref: RunRef, engine: Engine, callback: Callback) -> None:
    pending = with_retries(lambda: run.receipts.missing(stage.name))
    if stage.once:
        pending = [chunk for chunk in pending if chunk.index == 0]

    items = [] if stage.once else run.receipts.items(stage.name)
    n_items, n_rows = (1 if stage.once else len(items)), sum(item.n_rows for item in items)
    left = 0 if stage.once else sum(item.n_rows for item in pending)
    callback.stage_started(StageStarted(stage, n_items, n_rows, n_items - len(pending), n_rows - left))
    for done in engine.map(stage, ref, [item.index for item in pending]):
        callback.item_done(done)
    release_memory()
    callback.stage_ended(StageEnded(stage))


class PlannedJob(NamedTuple):
    """A job's plan, and the state that it applies, if any."""

    plan: Plan
    state: FittedState | None


def plan_job(job: Job, *, make: bool = True) -> PlannedJob:
    """Plan a job of any kind; without `make`, no server makes a copy for it, and the plan can only be looked at.

    Raises
    ------
    EmberharmonyError
        If it cannot be done, or its result not be published.
    """
    job = with_resolved_state(job)
    planned = _planned(job, make=make)
    plan = planned.plan
    sink, carried = open_sink(job.sink), plan.roles.carried if plan.spec.job.publishes_rows else ()
    sink.check_columns(plan.table.schema, carried)
    check_gates(job.expect, plan)
    if planned.state is not None:
        sink.check_features(planned.state.preprocessing.feature_names, carried)
    return planned


def _planned(job: Job, *, make: bool) -> PlannedJob:
    _place_of(job).check_apart(open_source(job.source), state=job.state_address)
    state = read_state(job.state_address) if job.state_address else None
    spec = job.spec_for(state)
    if state is None:
        check_method(spec)  # before a query is materialised
    spec = pinned(spec, (lambda schema: roles_in(state, schema)) if state else None, make=make)
    plan = _in_staged_chunks(
        job, lambda resources: plan_apply(state, spec, resources) if state else make_plan(spec, resources)
    )
    return PlannedJob(plan, state)


def _in_staged_chunks(job: Job, planned: Callable[[Resources], Plan]) -> Plan:
    """Plan the job, in the chunks of an interrupted run of it if there is one and they still fit."""
    plan = planned(job.resources)
    staged = staged_chunk_rows(_place_of(job), plan.fingerprint)
    if job.resources.chunk_rows is None and staged not in (None, plan.memory.chunk_rows):
        with suppress(PlanError):
            return planned(replace(job.resources, chunk_rows=staged))
    return plan


def _chosen_backend(name: str | None) -> str:
    try:
        if name is None:
            backend = select()
        else:
            with using_backend(name) as backend:
                pass
    except ValueError as error:
        raise PlanError(f"{'runtime.backend' if name else 'EMBERHARMONY_BACKEND'}: {error}") from error
    return f"{backend.name}:{backend.device}"
