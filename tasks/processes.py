"""Worker processes of this host: they do the chunks, while the task runs stay in this process.

Prefect's own process runner starts every task run in a process, which takes 77 to 150 ms. Here a task run is a thread that
waits for a process, which takes 5 ms. The processes import no Prefect.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing.synchronize import Event
from typing import Any

from emberharmony.errors import TerminalError

MAX_LOST = 3
"""Processes that a chunk may lose before the run stops: it may be the chunk that kills them."""


class WorkerProcesses:
    """A pool of processes that is replaced when one of them dies."""

    def __init__(self, n_processes: int) -> None:
        self._n_processes = n_processes
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        # Spawned: torch and MLX hang in a child that was forked after their first use.
        self._context = multiprocessing.get_context("spawn")
        self._begun = self._context.Event()  # by any process of any pool

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function in one of the processes; its errors are raised here, with their type and fields.

        Raises
        ------
        TerminalError
            If the process died `MAX_LOST` times, or none could be started.
        """
        for _ in range(MAX_LOST):
            pool = self._current()
            try:
                return pool.submit(function, *args).result()
            except BrokenProcessPool:
                self._discard(pool)  # every call in progress comes here, and is repeated
        if not self._begun.is_set():
            raise TerminalError(
                "No worker process could start: each imports the script that this process runs, and failed. With "
                '`engine: processes` a script must be a file, and call run(...) only below `if __name__ == "__main__":`. '
                "Put the call there, or use the command `emberharmony run`, or another runtime.engine."
            )
        raise TerminalError(
            f"A worker process died {MAX_LOST} times in a row, at {function.__name__}{args!r}. The system kills processes "
            f"that use too much memory: lower runtime.workers or runtime.chunk_rows, then run the same command again."
        )

    def start(self) -> None:
        """Start all processes now rather than at their first call: their imports take half a second."""
        pool = self._current()
        with suppress(BrokenProcessPool):  # the first call handles it
            for _ in range(self._n_processes):
                pool.submit(_import_stages)

    def close(self) -> None:
        """End the processes after their current calls."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool:
            pool.shutdown(cancel_futures=True)

    def _current(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ProcessPoolExecutor(
                    self._n_processes, mp_context=self._context, initializer=_begin_worker, initargs=(self._begun,)
                )
            return self._pool

    def _discard(self, pool: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is pool:
                self._pool = None
        pool.shutdown(wait=False)


_processes: WorkerProcesses | None = None


def worker_processes() -> WorkerProcesses | None:
    """Return the processes that do the chunks, if there are any."""
    return _processes


@contextmanager
def working_in_processes(n_processes: int) -> Iterator[None]:
    """Start so many processes, which do the chunks until the block ends."""
    global _processes
    _processes = WorkerProcesses(n_processes)
    _processes.start()
    try:
        yield
    finally:
        _processes.close()
        _processes = None


def _import_stages() -> None:
    import emberharmony.pipeline.stages  # noqa: F401 - the first call would wait for it


def _begin_worker(begun: Event) -> None:
    begun.set()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent handles it
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)  # a killed parent cannot end its workers, which would wait for work for ever
