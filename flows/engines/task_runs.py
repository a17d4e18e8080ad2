"""Stages as Prefect task runs: one for a chunk, or for a few quick ones, and a bounded number of them at a time."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from prefect.exceptions import TerminationSignal
from prefect.futures import as_completed
from prefect.task_runners import TaskRunner
from pydantic_core import PydanticSerializationError

from emberharmony.pipeline.events import ItemDone
from emberharmony.pipeline.run import RunRef
from emberharmony.pipeline.stages import Stage
from flows.engines.interrupt import hurry
from flows.prefect.private import context_sent_whole, forget_task_run, n_waiting_events
from tasks.stages import TASKS

if TYPE_CHECKING:
    from flows.config.job import AnyJob

MAX_EVENTS_WAITING = 1000
"""Events that may wait for the server before the next task run is submitted; a task run makes three, of 13 kB each."""
MAX_STAGE_CHUNKS = 16
"""Most chunks for which every step gets a task run of its own; with more, the records would cost more than the work."""
TASK_RUN_S = 2.0
"""Time that a task run should take. If chunks are quicker, it does several: a task run costs client and server 30 to 45 ms."""


class PrefectEngine:
    """Runs the stages as task runs of the current flow run, on the flow's task runner or on another one."""

    def __init__(
        self,
        name: str,
        *,
        workers: int,
        granularity: str,
        runner: TaskRunner[Any] | None = None,
        n_processes: int = 1,
        task_run_s: float = TASK_RUN_S,
    ) -> None:
        self.name = name
        self._n_processes = n_processes
        self._granularity = granularity
        self._workers = workers
        self._runner = runner
        self._task_run_s = task_run_s

    def map(self, stage: Stage, ref: RunRef, chunks: Sequence[int]) -> Iterator[ItemDone]:
        """Submit a stage for the given chunks, a bounded number of task runs at a time; yields an event for each.

        A stage that runs once is a task run in this process.
        """
        if stage.once:
            for chunk in chunks:
                yield from TASKS[stage.name](ref, chunk, chunk, "chunk")
            return
        granularity = self._granularity
        if granularity == "auto":
            granularity = "stage" if len(chunks) <= MAX_STAGE_CHUNKS else "chunk"
        workers = ref.workers_of(self._workers)
        # The runner takes up one task run for each of its threads: where memory allows fewer, none waits there.
        is_bounded = workers < self._workers or ref.ahead > 0
        ref, in_flight = ref.in_flight(workers, n_processes=min(workers, self._n_processes))
        at_once = in_flight if is_bounded else 2 * workers
        pace = _Pace(0.0 if granularity == "stage" else self._task_run_s, in_flight)
        waiting = deque(chunks)
        alive: dict[Any, range] = {}
        try:
            while waiting or alive:
                while waiting and len(alive) < at_once:
                    _keep_pace_with_server()
                    portion = _take(waiting, pace.size(len(waiting)))
                    alive[self._submit(stage.name, ref, portion, granularity)] = portion
                future = next(iter(as_completed(list(alive))))
                portion = alive.pop(future)  # its state, and the memory it holds, go with it
                done = future.result()
                forget_task_run(self._runner, future.task_run_id)
                pace.advance(len(portion))
                yield from done
        except (KeyboardInterrupt, TerminationSignal):
            hurry()  # the threads of the task runner would be waited for
            raise

    def _submit(self, stage: str, ref: RunRef, portion: range, granularity: str) -> Any:
        task, first, last = TASKS[stage], portion[0], portion[-1]
        if self._runner is None:
            return task.submit(ref, first, last, granularity)
        return self._runner.submit(task, {"ref": ref, "first": first, "last": last, "granularity": granularity})


class _Pace:
    """The number of chunks for a task run: what takes `task_run_s`, and fewer at the end, so that all workers end together."""

    def __init__(self, task_run_s: float, workers: int) -> None:
        self._task_run_s, self._workers = task_run_s, workers
        self._began = time.monotonic()
        self._n_done = 0

    def advance(self, n_chunks: int) -> None:
        """Count chunks that are done."""
        self._n_done += n_chunks

    def size(self, n_waiting: int) -> int:
        """Return the chunks for the next task run: one until the first one is done."""
        worker_s = self._workers * (time.monotonic() - self._began)
        by_time = round(self._n_done / worker_s * self._task_run_s) if self._n_done else 1
        return max(1, min(by_time, n_waiting // (2 * self._workers)))  # "factoring", by Hummel, Schonberg, Flynn 1992


def _take(waiting: deque[int], n_chunks: int) -> range:
    """Take up to `n_chunks` consecutive chunks out of the queue."""
    first = last = waiting.popleft()
    while waiting and waiting[0] == last + 1 and last - first + 1 < n_chunks:
        last = waiting.popleft()
    return range(first, last + 1)


def _keep_pace_with_server() -> None:
    """Wait while too many events do, but no longer than a second: a server that is gone must not stop the work.

    Prefect queues what it reports to its server without a bound. If task runs are quicker than the server, memory would grow
    with their number, and events that still wait at the end of the run would be lost.
    """
    end = time.monotonic() + 1.0
    while n_waiting_events() > MAX_EVENTS_WAITING and time.monotonic() < end:
        time.sleep(0.02)


@contextmanager
def task_run_engine(
    job: AnyJob, runner: AbstractContextManager[TaskRunner[Any]], *, n_processes: int = 1
) -> Iterator[PrefectEngine]:
    """Start a task runner, and run the stages as its task runs, within the current flow run.

    Of `n_processes`, each computes one chunk at a time; a single one computes as many as the job has workers.
    """
    with ExitStack() as stack:
        stack.enter_context(_sigterm_translated())
        with _sigterm_handler_kept():
            started = stack.enter_context(runner)
        stack.enter_context(context_sent_whole())
        yield PrefectEngine(
            job.engine.name,
            workers=job.workers,
            granularity=job.runtime.granularity,
            runner=started,
            n_processes=n_processes,
        )


@contextmanager
def _sigterm_handler_kept() -> Iterator[None]:
    """Put the handler of SIGTERM back: Ray replaces it by one that ends the process without a message."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


@contextmanager
def _sigterm_translated() -> Iterator[None]:
    """Raise `TerminationSignal` if SIGTERM came within a serializer, where pydantic makes an error of its own of it.

    A signal handler here would know, but Prefect accepts no cancellation while its own handler is replaced.
    """
    with _received_signals() as received:
        try:
            yield
        except PydanticSerializationError as error:
            if signal.SIGTERM not in received():
                raise
            hurry()
            raise TerminationSignal(signal.SIGTERM) from error


@contextmanager
def _received_signals() -> Iterator[Callable[[], bytes]]:
    """Yield a function that returns the numbers of the signals that came since its last call.

    Python writes them to a file descriptor, whatever the handlers do. A process has one, which only its main thread can set:
    if it is in use, no number is returned.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: b""
        return
    reader, writer = os.pipe()
    for end in (reader, writer):
        os.set_blocking(end, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    if before != -1:
        signal.set_wakeup_fd(before)

    def received() -> bytes:
        try:
            return os.read(reader, 4096)
        except BlockingIOError:  # none came
            return b""

    try:
        yield received
    finally:
        if before == -1:
            signal.set_wakeup_fd(-1)
        os.close(reader)
        os.close(writer)
