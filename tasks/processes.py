"""Worker processes of this host: they do the chunks, while the task runs stay in this process.

Prefect's own process runner starts every task run in a process, which takes 77 to 150 ms. Here a task run is a thread that
waits for a process, which takes 5 ms. The processes import no Prefect. Each answers several calls at a time if it is to read
and write chunks while it computes another one, which no executor of the standard library does.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext
from multiprocessing.synchronize import Event
from typing import Any

from emberharmony.errors import TerminalError

MAX_LOST = 3
"""Processes that a chunk may lose before the run stops: it may be the chunk that kills them."""


class WorkerProcesses:
    """A number of processes, each of which is replaced when it dies.

    Parameters
    ----------
    n_processes : int
        Number of processes.
    n_calls : int
        Calls that each process answers at a time, on threads of its own. Calls are spread evenly.
    """

    def __init__(self, n_processes: int, n_calls: int = 1) -> None:
        self._n_processes, self._n_calls = n_processes, n_calls
        self._changed = threading.Condition()
        self._processes = list[_Process]()
        # Spawned: torch and MLX hang in a child that was forked after their first use.
        self._context = multiprocessing.get_context("spawn")
        self._begun = self._context.Event()  # by any process

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function in one of the processes; its errors are raised here, with their type and fields.

        Raises
        ------
        TerminalError
            If the process died `MAX_LOST` times, or none could be started.
        """
        question = pickle.dumps((function, args))
        for _ in range(MAX_LOST):
            process, line = self._taken()
            try:
                line.send_bytes(question)
                content = line.recv_bytes()
            except (EOFError, OSError):
                self._discard(process)  # every call in progress there comes here, and is repeated
                continue
            except BaseException:
                self._discard(process)  # the next call on this line would get the answer to this one
                raise
            self._give_back(process, line)
            return _answered(content)
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
        with self._changed:
            self._start_missing()

    def close(self) -> None:
        """End the processes after their current calls."""
        with self._changed:
            self._changed.wait_for(lambda: all(len(process.idle) == self._n_calls for process in self._processes))
            ended, self._processes = self._processes, []
        for process in ended:
            process.end()

    def _taken(self) -> tuple[_Process, Connection]:
        """Return a process with the fewest calls, and its line for one more, as soon as there is one."""
        with self._changed:
            while True:
                self._start_missing()
                process = max(self._processes, key=lambda process: len(process.idle))
                if process.idle:
                    return process, process.idle.pop()
                self._changed.wait()

    def _give_back(self, process: _Process, line: Connection) -> None:
        with self._changed:
            process.idle.append(line)
            self._changed.notify_all()

    def _start_missing(self) -> None:
        while len(self._processes) < self._n_processes:
            self._processes.append(_Process(self._context, self._begun, self._n_calls))

    def _discard(self, process: _Process) -> None:
        with self._changed:
            if process in self._processes:
                self._processes.remove(process)
                process.kill()
            self._changed.notify_all()


class _Process:
    """A process, and the lines to it: each is for one call at a time."""

    def __init__(self, context: SpawnContext, begun: Event, n_calls: int) -> None:
        lines = [context.Pipe() for _ in range(n_calls)]
        self.idle = [ours for ours, _ in lines]
        # A daemon: it does not keep a run alive that ends without closing it.
        self._process = context.Process(target=_work, args=([its for _, its in lines], begun), daemon=True)
        self._process.start()
        for _, its in lines:
            its.close()  # so that ours ends with the process

    def end(self) -> None:
        """Have an idle process end."""
        for line in self.idle:
            line.close()
        self._process.join()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.join()


class _RemoteError(Exception):
    """The traceback of an error, in the process where it was raised."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


_processes: WorkerProcesses | None = None


def worker_processes() -> WorkerProcesses | None:
    """Return the processes that do the chunks, if there are any."""
    return _processes


@contextmanager
def working_in_processes(n_processes: int, n_calls: int = 1) -> Iterator[None]:
    """Start so many processes, each of which does so many chunks at a time, until the block ends."""
    global _processes
    _processes = WorkerProcesses(n_processes, n_calls)
    _processes.start()
    try:
        yield
    finally:
        _processes.close()
        _processes = None


def _answered(content: bytes) -> Any:
    """Return the result of a call, or raise its error."""
    answer, error, told = pickle.loads(content)
    if error is not None:
        raise error from _RemoteError(told)
    return answer


def _work(lines: list[Connection], begun: Event) -> None:
    """Answer calls until the other process closes the lines, or ends."""
    begun.set()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent handles it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import emberharmony.pipeline.stages  # noqa: F401 - once, before several threads would import it at the same time

    threads = [threading.Thread(target=_answer, args=(line,)) for line in lines[1:]]
    for thread in threads:
        thread.start()
    _answer(lines[0])
    for thread in threads:
        thread.join()


def _answer(line: Connection) -> None:
    with suppress(EOFError, OSError):
        while True:
            line.send_bytes(_answer_to(line.recv_bytes()))


def _answer_to(question: bytes) -> bytes:
    """Return the result of a call, its error and where that was raised."""
    try:
        function, args = pickle.loads(question)
        return pickle.dumps((function(*args), None, ""))
    except BaseException as error:  # noqa: BLE001 - it is raised where the call came from
        told = traceback.format_exc()
        try:
            return pickle.dumps((None, error, told))
        except Exception:  # noqa: BLE001 - of a library, whose errors hold what no other process can have
            return pickle.dumps((None, RuntimeError(f"{type(error).__name__}: {error}"), told))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)  # a killed parent cannot end its workers, which would wait for work for ever
