"""Prefect as the engine: every stage of every chunk a task run, a bounded number of them alive at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from prefect.exceptions import TerminationSignal
from prefect.futures import as_completed

from emberharmony.io.manifest import Manifest
from emberharmony.pipeline.run import RunRef
from flows.config import Job
from flows.interrupt import hurry
from tasks.stages import CHUNK_TASKS, fit_pca, fit_preprocessing, publish

MAX_STAGE_CHUNKS = 16
"""Up to so many chunks every step gets a task run of its own; beyond, the records would cost more than the work."""


class PrefectEngine:
    """Runs the stages as task runs of the current flow run."""

    def __init__(self, job: Job) -> None:
        self.name = job.runtime.engine
        self._granularity = job.runtime.granularity
        self._window = 2 * job.workers

    def each(self, stage: str, ref: RunRef, chunks: Sequence[int]) -> Iterator[int]:
        """Submit a stage of the given chunks, a window of them at a time, and yield them as they are done."""
        granularity = self._granularity
        if granularity == "auto":
            granularity = "stage" if len(chunks) <= MAX_STAGE_CHUNKS else "chunk"
        waiting = iter(chunks)
        alive: list[Any] = []
        try:
            while True:
                for chunk in waiting:
                    alive.append(CHUNK_TASKS[stage].submit(ref, chunk, granularity))
                    if len(alive) >= self._window:
                        break
                if not alive:
                    return
                future = next(iter(as_completed(alive)))
                alive.remove(future)  # its state, and the memory it holds, go with it
                yield future.result()
        except (KeyboardInterrupt, TerminationSignal):
            hurry()  # the threads of the task runner would be waited for
            raise

    def fit_preprocessing(self, ref: RunRef) -> int:
        """Fit the preprocessing."""
        return fit_preprocessing(ref)

    def fit_pca(self, ref: RunRef) -> dict[int, list[float]]:
        """Fit the PCAs."""
        return fit_pca(ref)

    def publish(self, ref: RunRef, sink: str) -> Manifest:
        """Publish."""
        return publish(ref, sink)
