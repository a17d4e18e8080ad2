"""`engine: local`: threads of this process, without Prefect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING

from emberharmony.pipeline.retry import with_retries
from emberharmony.pipeline.run import RunRef
from emberharmony.pipeline.stages import Stage, run_stage
from flows.engines.base import EngineKind

if TYPE_CHECKING:
    from flows.config.job import AnyJob


class PlainLoop:
    """Runs every stage in this process; the reference that all other engines have to equal."""

    name = "local"

    def __init__(self, workers: int = 1) -> None:
        self._workers = workers

    def map(self, stage: Stage, ref: RunRef, chunks: Sequence[int]) -> Iterator[int]:
        """Run a stage for the given chunks; with several workers a bounded number of them at a time."""
        workers = ref.workers_of(self._workers)
        if workers == 1 or stage.once:
            for chunk in chunks:
                _run_stage(stage.name, ref, chunk)
                yield chunk
            return
        with ThreadPoolExecutor(workers) as pool:
            running: dict[Future[None], int] = {}
            waiting = iter(chunks)
            try:
                for chunk in waiting:
                    running[pool.submit(_run_stage, stage.name, ref, chunk)] = chunk
                    if len(running) < 2 * workers:
                        continue
                    yield from _finished(running)
                while running:
                    yield from _finished(running)
            finally:
                pool.shutdown(cancel_futures=True)


def _run_stage(stage: str, ref: RunRef, chunk: int) -> None:
    with_retries(lambda: run_stage(stage, ref, chunk))


def _finished(running: dict[Future[None], int]) -> Iterator[int]:
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
