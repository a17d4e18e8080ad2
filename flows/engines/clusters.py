"""What the engines of clusters have in common: an address, which is checked before any work begins."""

from __future__ import annotations

import socket
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from emberharmony.errors import BackendUnavailableError, TerminalError
from emberharmony.messages import shortened
from flows.engines.base import WorkerProcessKind

if TYPE_CHECKING:
    from prefect.task_runners import TaskRunner

    from emberharmony.pipeline.job import Engine
    from flows.config.job import AnyJob
    from flows.config.runtime import Runtime

TIMEOUT_S = 8.0
"""Time in which a cluster must answer. Its own client would try for half a minute, or for ever."""


@dataclass(frozen=True)
class AddressForm:
    """How the addresses of an engine's clusters are written."""

    engine: str
    schemes: tuple[str, ...]
    without_port: tuple[str, ...]  # whole addresses, or schemes that end in ://
    example: str

    def names_host(self, address: str) -> bool:
        """Whether the address names a host and a port, at which something must listen."""
        return address not in self.without_port and not address.startswith(
            tuple(scheme for scheme in self.without_port if scheme.endswith("://"))
        )

    def check(self, address: str) -> None:
        """Refuse a text that cannot be an address.

        Raises
        ------
        ValueError
            The message says how such an address is written.
        """
        if not self.names_host(address):
            return
        try:
            scheme, host, port = _parts(address)
        except ValueError as error:
            reason = str(error)
        else:
            if scheme and scheme not in self.schemes:
                reason = f"its scheme {scheme!r} is none of {', '.join(self.schemes)}"
            elif not host or not port:
                reason = "it needs a host and a port"
            else:
                return
        raise ValueError(
            f"The address {address!r} is not one of `engine: {self.engine}`: {reason}. Write it like {self.example}, or leave "
            f"it out to have a cluster started here."
        )

    def check_reachable(self, address: str) -> None:
        """Refuse an address at which nothing listens.

        Raises
        ------
        TerminalError
            The message names the address.
        """
        if not self.names_host(address):
            return
        _, host, port = _parts(address)
        try:
            socket.create_connection((host or "", port or 0), timeout=TIMEOUT_S).close()
        except OSError as error:
            raise self.unusable(address, f"nothing answers there: {str(error).lower()}") from error

    def unusable(self, address: str, reason: str) -> TerminalError:
        """Return the error of a cluster that cannot be used."""
        return TerminalError(
            f"runtime.address is {address!r}, and {reason}. Start what `engine: {self.engine}` is to use, or leave the "
            f"address out to have it started here."
        )


class ClusterKind(WorkerProcessKind):
    """An engine that starts a cluster on this host, or uses the one at `runtime.address`."""

    addresses: ClassVar[AddressForm]

    @abstractmethod
    def runner(self, workers: int, address: str | None, n_chunks: int = 1) -> AbstractContextManager[TaskRunner[Any]]:
        """Start Prefect's task runner on the cluster at an address, or on one that lives as long as the block.

        Each worker of that one does `n_chunks` at a time.
        """

    @contextmanager
    def open(self, job: AnyJob) -> Iterator[Engine]:
        """Start the cluster, or connect to the one at `runtime.address`."""
        from flows.engines.task_runs import task_run_engine

        self.check_available(job.runtime)
        runner = self.runner(job.workers, job.runtime.address, 1 + job.resources.ahead)
        with task_run_engine(job, runner, n_processes=job.workers) as engine:
            yield engine

    def is_remote(self, runtime: Runtime) -> bool:
        """Whether the job names a cluster; its workers may be on any host."""
        return runtime.address is not None

    def check_settings(self, runtime: Runtime) -> None:
        """Refuse what cannot be an address of such a cluster."""
        super().check_settings(runtime)
        if runtime.address is not None:
            self.addresses.check(runtime.address)

    def check_available(self, runtime: Runtime) -> None:
        """Refuse an address at which nothing listens."""
        if runtime.address is not None:
            self.addresses.check_reachable(runtime.address)


@contextmanager
def started(engine: str, runner: AbstractContextManager[TaskRunner[Any]]) -> Iterator[TaskRunner[Any]]:
    """Start the cluster of an engine on this host, for as long as the block lasts.

    Raises
    ------
    TerminalError
        If it does not start; the message holds the library's reason.
    """
    with ExitStack() as stack:
        try:
            running = stack.enter_context(runner)
        except Exception as error:  # of any library below: ports, processes, memory, settings
            reason = f"{type(error).__name__}: {shortened(str(error))}" if str(error) else type(error).__name__
            raise TerminalError(
                f"`engine: {engine}` cannot start its cluster on this host ({reason}). Choose another runtime.engine, or "
                f"start the cluster yourself and give its address in runtime.address."
            ) from error
        yield running


def missing_extra(extra: str, error: ImportError) -> BackendUnavailableError:
    """Return the error of an engine whose library is not installed."""
    return BackendUnavailableError(
        f"The engine {extra!r} was asked for but cannot be imported ({error}). Install emberharmony[{extra}], or choose "
        f"another runtime.engine."
    )


def _parts(address: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port."""
    parts = urlsplit(address if "//" in address else f"//{address}")
    return parts.scheme, parts.hostname, parts.port
