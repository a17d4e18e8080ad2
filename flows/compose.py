"""The job as a sentence, in which an engine carries out the stages."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from emberharmony.backend import select, using_backend
from emberharmony.io.manifest import Manifest
from emberharmony.pipeline.plan import Plan, make_plan, stage_plan
from emberharmony.pipeline.publish import check_target
from emberharmony.pipeline.run import RunRef, open_run
from emberharmony.threads import available_cores, limit_compute_threads
from flows.config import Job
from flows.watch import Watcher, current_watcher


class Engine(Protocol):
    """Whoever runs the stages."""

    name: str

    def each(self, stage: str, ref: RunRef, chunks: Sequence[int]) -> Iterator[int]:
        """Run a stage of the given chunks; yields each one's number as it is done, in any order."""
        ...

    def fit_preprocessing(self, ref: RunRef) -> int:
        """Fit the preprocessing; returns the number of features."""
        ...

    def fit_pca(self, ref: RunRef) -> dict[int, list[float]]:
        """Fit the PCAs; returns each stride's explained variance ratios."""
        ...

    def publish(self, ref: RunRef, sink: str) -> Manifest:
        """Publish; returns the manifest."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    manifest: Manifest
    sink: str
    engine: str
    backend: str
    did_work: bool  # False: the result was there already
    seconds: float
    peak_bytes: int  # of the whole process, ever
    projected_bytes: int

    @property
    def rows_per_second(self) -> float:
        """Rows of the source through the whole job in a second."""
        return self.manifest.source_rows / self.seconds if self.seconds else 0.0


def run_job(job: Job, engine: Engine, watcher: Watcher | None = None, *, overwrite: bool = False) -> Outcome:
    """Plan, profile, fit, featurize, fit PCA, project, publish; what an earlier run has committed is not done again.

    Raises
    ------
    EmberharmonyError
        If the job cannot be done; nothing was published then.
    """
    began = time.perf_counter()
    watcher = watcher or current_watcher()
    backend = _chosen_backend(job.backend)  # before all else: what was asked for has to be there
    plan = make_plan(job.spec, job.resources)
    sink = Path(job.sink.path)

    def outcome(manifest: Manifest, *, did_work: bool) -> Outcome:
        seconds, projected = time.perf_counter() - began, plan.memory.projected_bytes
        return Outcome(manifest, job.sink.path, engine.name, backend, did_work, seconds, peak_bytes(), projected)

    published = check_target(sink, plan.fingerprint, overwrite=overwrite)
    if published is not None:
        return outcome(published, did_work=False)
    ref = stage_plan(plan, sink, backend=job.backend, anew=overwrite)
    watcher.planned(plan, backend)
    with limit_compute_threads(max(1, available_cores() // job.workers)):
        _each("profile", ref, engine, watcher)
        _once("fit", watcher, lambda: engine.fit_preprocessing(ref))
        _each("featurize", ref, engine, watcher)
        _once("fit PCA", watcher, lambda: engine.fit_pca(ref))
        _each("project", ref, engine, watcher)
        return outcome(engine.publish(ref, str(sink)), did_work=True)


def _each(stage: str, ref: RunRef, engine: Engine, watcher: Watcher) -> None:
    run = open_run(ref)
    missing = run.missing(stage)
    watcher.stage(stage, done_rows=run.n_rows - sum(chunk.n_rows for chunk in missing), total_rows=run.n_rows)
    for number in engine.each(stage, ref, [chunk.index for chunk in missing]):
        watcher.advance(run.chunks[number].n_rows)


def _once(stage: str, watcher: Watcher, work: Callable[[], object]) -> None:
    watcher.stage(stage, done_rows=0, total_rows=1)
    work()
    watcher.advance(1)


def _chosen_backend(name: str | None) -> str:
    if name is None:
        backend = select()
    else:
        with using_backend(name) as backend:
            pass
    return f"{backend.name}:{backend.device}"


def peak_bytes() -> int:
    """Most memory that this process has held at once, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
