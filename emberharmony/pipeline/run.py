"""A staged run: what every task of a job shares, and the short reference that names it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from operator import call
from platform import node
from threading import Lock
from typing import Any, Protocol, Self

import pyarrow as pa

from emberharmony.backend import get_backend, select, using_backend
from emberharmony.errors import DataError, TransientError
from emberharmony.io.sinks.base import Sink
from emberharmony.io.sinks.registry import noted_sink
from emberharmony.io.sources.base import Source
from emberharmony.io.sources.capabilities import Catalogued
from emberharmony.io.sources.registry import open_source
from emberharmony.io.sources.text_budget import TextBudget
from emberharmony.io.store.base import Store
from emberharmony.io.store.opening import open_staged, result_of
from emberharmony.io.store.result import Result
from emberharmony.pipeline.arrange import PARTITION, REGROUP, Arranged
from emberharmony.pipeline.fitted import Fitted
from emberharmony.pipeline.plan_file import CATALOGUE, StagedPlan
from emberharmony.pipeline.receipts import Receipts
from emberharmony.planning.chunks import Chunk
from emberharmony.planning.memory import chunks_ahead
from emberharmony.planning.resident import limit_arenas, use_c_memory
from emberharmony.threads import Turns, in_parallel, limit_worker_threads


class Rows(Protocol):
    """What chunks are read from."""

    def times_of(self, chunk: Chunk, time: str) -> tuple[int, int] | None:
        """Return a range of times in which the chunk's rows lie, see `Source.times_of`."""
        ...

    def read(self, chunk: Chunk, columns: Sequence[str], *, time: str | None, texts: TextBudget | None = None) -> pa.Table:
        """Return the chunk's rows, see `Source.read`."""
        ...


_one_at_a_time = Lock()
"""Held while a cache is asked: it would let each of the first threads of a process open the run for itself."""

ReadChunk = Callable[[Rows, Chunk, Sequence[str], str | None, TextBudget], pa.Table]


@dataclass(frozen=True)
class RunRef:
    """Names a staged run: small enough to travel in the parameters of every task run."""

    staging: str
    backend: str | None = None  # None: the backend that the worker of the task selects
    token: str = ""  # differs from that of an earlier run in the same folder, which a worker may have cached
    threads: int | None = None  # compute threads of a worker process; None: the process that runs the job sets them
    parity: float = 0.0  # share of the chunks that are computed on NumPy as well
    workers: int | None = None  # chunks at a time that a process has memory for, or all worker processes of a host together
    ahead: int = 0  # chunks for each worker that are read or written while it computes another one, where memory allows it
    turns: int | None = None  # chunks that each process computes at a time, if it works on more of them

    def workers_of(self, most: int) -> int:
        """Number of workers of a process that can run at the same time in its memory: at most `most`."""
        return min(most, self.workers or most)

    def in_flight(self, workers: int, *, n_processes: int = 1) -> tuple[RunRef, int]:
        """Return the reference for the stages of so many workers, evenly in so many processes, and the chunks in flight there.

        Of these, as many as there are workers are computed; the others are read or written meanwhile.
        """
        n_ahead = chunks_ahead(workers, self.workers or workers, self.ahead * workers, n_processes=n_processes)
        return (replace(self, turns=workers // n_processes) if n_ahead else self), workers + n_ahead


@dataclass(frozen=True)
class Run:
    """A staged run: its plan, the receipts of what is done, and what was fitted."""

    store: Store
    plan: StagedPlan
    receipts: Receipts
    fitted: Fitted
    sink: Sink
    """Where the rows are published."""

    @classmethod
    def opened(cls, staging: str) -> Self:
        """Return the run that is staged in a folder."""
        staged = open_staged(staging)
        reads: tuple[Callable[[], Any], ...] = (lambda: noted_sink(staged), lambda: StagedPlan.read(staged))
        sink, plan = in_parallel(call, reads, staged.readers)
        store = sink.staged(staged) if plan.spec.job.publishes_rows else staged
        receipts = receipts_of(plan, store)
        fitted = Fitted(store, receipts, plan.spec.windows.strides, plan.splits, plan.order)
        return cls(store, plan, receipts, fitted, sink)

    @property
    def result(self) -> Result:
        """The result for which the run is staged."""
        return result_of(self.store, elsewhere=self.sink.own_folders)

    @cached_property
    def arranged(self) -> Arranged:
        """The rows in the job's order, in a job that arranges them first."""
        return Arranged(self.store, self.plan, self.receipts)

    def read(self, chunk: Chunk, columns: Sequence[str], read: ReadChunk) -> pa.Table:
        """Return a chunk's rows in the job's order, by way of `read`: from the arranged rows or from the source."""
        return read(self._rows, chunk, columns, self._time, self.plan.texts)

    def times_of(self, chunk: Chunk) -> tuple[int, int] | None:
        """Return a range ``[from, to)`` of times in which a chunk's rows lie, if that is known before they are read."""
        return self._rows.times_of(chunk, self._time) if self._time else None

    @property
    def _rows(self) -> Rows:
        return self.arranged if self.plan.inputs else self.source

    @property
    def _time(self) -> str | None:
        """The column that orders the rows of a chunk, and by whose ranges chunks are read; many series have keys for that."""
        return None if self.plan.order.entity else self.plan.order.time

    @property
    def published_columns(self) -> tuple[str, ...]:
        """Columns of the source that are published beside the features."""
        return self.plan.roles.carried if self.plan.spec.job.publishes_rows else ()

    @cached_property
    def source(self) -> Source:
        """The table that the job reads.

        Raises
        ------
        DataError
            If it is not the table that was planned. Of files, reading says so.
        """
        source = open_source(self.plan.spec.source)
        if isinstance(source, Catalogued) and (catalogue := self.store.find(CATALOGUE)) is not None:
            return source.with_catalogue(catalogue)
        if self.plan.spec.fingerprint(source.describe().identity) != self.plan.fingerprint:
            raise DataError(
                f"The source was changed after the job was planned ({self.plan.run_name}); nothing was published. Run "
                f"the same command again, which makes a new plan."
            )
        return source


def receipts_of(plan: StagedPlan, store: Store) -> Receipts:
    """Return the receipts of a run with this plan."""
    items = {PARTITION: plan.inputs, REGROUP: plan.groups.as_items(plan.chunks)}
    merged = plan.profile_tree.items(plan.chunks) | plan.gram_tree.items(plan.chunks)
    return Receipts(store, plan.chunks, {**items, **merged})


@lru_cache(maxsize=4)
def _opened(staging: str, token: str) -> Run:
    return Run.opened(staging)


@lru_cache(maxsize=4)
def _turns_of(token: str, n_turns: int) -> Turns:
    return Turns(n_turns)


def open_run(ref: RunRef) -> Run:
    """Return the run that a reference names; each process opens it once."""
    with _one_at_a_time:
        return _opened(ref.staging, ref.token)


def turns_of(token: str, n_turns: int) -> Turns:
    """Return the turns at computing that all chunks of a run share in this process."""
    with _one_at_a_time:
        return _turns_of(token, n_turns)


def forget_runs() -> None:
    """Close all opened runs, because a staging folder was replaced."""
    _opened.cache_clear()


@contextmanager
def opened_run(ref: RunRef) -> Iterator[tuple[Run, str]]:
    """Open a run, on the backend that its worker selects; done once, where a task begins.

    Yields
    ------
    (Run, str)
        The run, and the backend and device that computes, for the receipt.

    Raises
    ------
    TransientError
        If the memory of that device is used up, which passes when other chunks on it are done.
    """
    if ref.threads is not None:
        limit_worker_threads(ref.threads)
        use_c_memory()
        limit_arenas()
    with using_backend(ref.backend or get_backend()):
        backend = select()
        place = f"{backend.name}:{backend.device}"
        try:
            yield open_run(ref), place
        except backend.xp.MEMORY_ERRORS as error:
            what = ". ".join(str(error).split(". ")[:2])  # torch continues with its allocator's settings
            raise TransientError(
                f"Memory is used up, where {place} computes on host {node()}: {what}. Fewer chunks at a time need less: lower "
                f"runtime.workers, or runtime.chunk_rows if it is one already."
            ) from error
