"""What an engine is: a name, the facts that a plan needs of it, and how it is started."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from emberharmony.backend import get_backend
from emberharmony.threads import available_cores

if TYPE_CHECKING:
    from emberharmony.pipeline.job import Engine
    from flows.config.job import AnyJob
    from flows.config.runtime import Runtime

MiB = 2**20
MOST_THREADS = 4
"""Threads of one process that work at the same time, about: 16 took as long as 4 (docs/speed.md)."""


class Choice(NamedTuple):
    """The engine of a job, and why it is this one."""

    kind: EngineKind
    reason: str
    hint: str = ""  # how to have another one


class EngineKind(ABC):
    """An engine before it is started: all that the job, the plan and the command ask of it.

    A new engine is a module with a subclass of this, and a line in `flows.engines.registry`. The module must be cheap to
    import, as every job reads the registry: import the engine's libraries in `open`.
    """

    name: ClassVar[str]
    uses_prefect: ClassVar[bool] = True
    """Whether the job is a flow run, which needs a Prefect server."""
    worker_bytes: ClassVar[int] = 0
    """Resident bytes of a worker process before its first chunk; 0 if this process does the work."""
    services_bytes: ClassVar[int] = 0
    """Resident bytes of the other processes of a cluster that is started here."""

    @abstractmethod
    def open(self, job: AnyJob) -> AbstractContextManager[Engine]:
        """Start the engine; it stops at the end of the block.

        Raises
        ------
        EmberharmonyError
            If it cannot start.
        """

    def choose(self, job: AnyJob) -> Choice:
        """Return the engine to use for a job: this one, unless the name stands for a choice."""
        return Choice(self, f"runtime.engine is {self.name}", self.advice(job))

    def advice(self, job: AnyJob) -> str:
        """Say what would make a job faster on this host; nothing if this engine is the one to use."""
        return ""

    def is_remote(self, runtime: Runtime) -> bool:
        """Whether workers that select their own backend do the work, outside of this host's plan."""
        return False

    def overlaps(self, runtime: Runtime) -> bool:
        """Whether a process that computes a chunk reads or writes others meanwhile, if a server has to be waited for."""
        return True

    def threads_of(self, runtime: Runtime, workers: int) -> int | None:
        """Compute threads of each of so many worker processes; ``None`` if each process decides for itself."""
        return None

    def check_settings(self, runtime: Runtime) -> None:
        """Refuse settings that this engine cannot use.

        Raises
        ------
        ValueError
            If a setting is missing or wrong.
        """
        if runtime.pools:
            raise ValueError("`pools` are for `engine: pools`. Set that, or leave `pools` out (--set runtime.pools={}).")

    def check_available(self, runtime: Runtime) -> None:  # noqa: B027 - most engines need nothing
        """Refuse the engine before a Prefect server is started for it.

        Raises
        ------
        EmberharmonyError
            If what it needs is not there.
        """


class ThreadKind(EngineKind):
    """An engine whose chunks are done by threads of this process."""

    def advice(self, job: AnyJob) -> str:
        """Name the engine that uses more cores than threads can, unless a GPU does the work."""
        n_threads = job.runtime.workers or available_cores()
        if n_threads <= MOST_THREADS or not (job.backend or get_backend()).startswith("numpy"):
            return ""
        return (
            f"{n_threads} threads hardly do more than {MOST_THREADS}, since they share an interpreter. If the job takes more "
            f"than a minute, runtime.engine=processes is faster."
        )


class WorkerProcessKind(EngineKind):
    """An engine whose chunks are done by worker processes: of this host, or at an address."""

    def threads_of(self, runtime: Runtime, workers: int) -> int | None:
        """Return the threads that were asked for, a share of this host's cores, or one on other hosts."""
        return runtime.threads or (1 if self.is_remote(runtime) else max(1, available_cores() // workers))
