"""`engine: local`: threads of this process, without Prefect."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from emberharmony.pipeline.events import ItemDone
from emberharmony.pipeline.retry import with_retries
from emberharmony.pipeline.run import RunRef
from emberharmony.pipeline.stages import Stage, compute_stage
from emberharmony.threads import each_ended_behind
from flows.engines.base import ThreadKind

if TYPE_CHECKING:
    from flows.config.job import AnyJob


class LocalEngine:
    """Runs every stage in this process; the reference that all other engines have to equal."""

    name = "local"

    def __init__(self, workers: int = 1) -> None:
        self._workers = workers

    def map(self, stage: Stage, ref: RunRef, chunks: Sequence[int]) -> Iterator[ItemDone]:
        """Run a stage for the given chunks: several at a time, and some are read or written while others are computed.

        A chunk is committed behind the work, so that no worker waits for the disk.
        """
        at_work, n_threads = (ref, 1) if stage.once else ref.in_flight(ref.workers_of(self._workers))
        yield from each_ended_behind(lambda chunk: _computed(stage.name, at_work, chunk), chunks, n_threads=n_threads)


def _computed(stage: str, ref: RunRef, chunk: int) -> Callable[[], ItemDone]:
    commit = with_retries(lambda: compute_stage(stage, ref, chunk))
    return lambda: with_retries(commit)


class Local(ThreadKind):
    """Threads of this process, one for each core, and no Prefect."""

    name = "local"
    uses_prefect = False

    @contextmanager
    def open(self, job: AnyJob) -> Iterator[LocalEngine]:
        """Start with as many workers as the job has."""
        yield LocalEngine(job.workers)
