"""`engine: processes`: a flow run whose chunks are done by worker processes of this host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flows.engines.base import MiB, WorkerProcessKind

if TYPE_CHECKING:
    from emberharmony.pipeline.job import Engine
    from flows.config.job import AnyJob


class Processes(WorkerProcessKind):
    """Prefect task runs on threads, each of which waits for a worker process."""

    name = "processes"
    worker_bytes = 160 * MiB  # measured: 152 MiB

    @contextmanager
    def open(self, job: AnyJob) -> Iterator[Engine]:
        """Start the processes."""
        from prefect.task_runners import ThreadPoolTaskRunner

        from flows.engines.task_runs import task_run_engine
        from tasks.processes import working_in_processes

        workers, n_chunks = job.workers, 1 + job.resources.ahead
        # At least twice as many threads as processes: no process is idle while task runs end and begin.
        runner = ThreadPoolTaskRunner(max_workers=workers * max(2, n_chunks))
        with working_in_processes(workers, n_chunks), task_run_engine(job, runner, n_processes=workers) as engine:
            yield engine
