"""`engine: local`: threads of this process, without Prefect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING

from emberharmony.io.manifest import Manifest
from emberharmony.pipeline.retry import with_retries
from emberharmony.pipeline.run import RunRef
from emberharmony.pipeline.stages import fit_pcas_of, fit_preprocessing_of, publish_of, run_chunk
from flows.engines.base import EngineKind

if TYPE_CHECKING:
    from flows.config.job import AnyJob


class PlainLoop:
    """Runs every stage in this process; the reference that all other engines have to equal."""

    name = "local"

    def __init__(self, workers: int = 1) -> None:
        self._workers = workers

    def each(self, stage: str, ref: RunRef, chunks: Sequence[int]) -> Iterator[int]:
        """Run a stage of the given chunks; with several workers a bounded number of them at a time."""
        workers = ref.workers_of(self._workers)
        if workers == 1:
            for chunk in chunks:
                _run_chunk(stage, ref, chunk)
                yield chunk
            return
        with ThreadPoolExecutor(workers) as pool:
            running: dict[Future[int], int] = {}
            waiting = iter(chunks)
            try:
                for chunk in waiting:
                    running[pool.submit(_run_chunk, stage, ref, chunk)] = chunk
                    if len(running) < 2 * workers:
                        continue
                    yield from _finished(running)
                while running:
                    yield from _finished(running)
            finally:
                pool.shutdown(cancel_futures=True)

    def fit_preprocessing(self, ref: RunRef) -> int:
        """Fit the preprocessing."""
        return with_retries(lambda: fit_preprocessing_of(ref))

    def fit_pca(self, ref: RunRef) -> dict[int, list[float]]:
        """Fit the PCAs."""
        return with_retries(lambda: fit_pcas_of(ref))

    def publish(self, ref: RunRef, sink: str) -> Manifest:
        """Publish."""
        return with_retries(lambda: publish_of(ref, sink))


def _run_chunk(stage: str, ref: RunRef, chunk: int) -> None:
    with_retries(lambda: run_chunk(stage, ref, chunk))


def _finished(running: dict[Future[int], int]) -> Iterator[int]:
    """Wait for at least one chunk, and take those that are done out of `running`; a failed one raises."""
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        chunk = running.pop(future)
        future.result()
        yield chunk


class Local(EngineKind):
    """Threads of this process, one for each core, and no Prefect."""

    name = "local"
    uses_prefect = False

    @contextmanager
    def open(self, job: AnyJob) -> Iterator[PlainLoop]:
        """Start with as many workers as the job has."""
        yield PlainLoop(job.workers)
