"""`engine: threads`: a flow run whose task runs are threads of this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flows.engines.base import ThreadKind

if TYPE_CHECKING:
    from emberharmony.pipeline.job import Engine
    from flows.config.job import AnyJob


class Threads(ThreadKind):
    """Prefect task runs on threads of this process."""

    name = "threads"

    @contextmanager
    def open(self, job: AnyJob) -> Iterator[Engine]:
        """Start the threads."""
        from prefect.task_runners import ThreadPoolTaskRunner

        from flows.engines.task_runs import task_run_engine

        most = job.workers * (1 + job.resources.ahead)
        with task_run_engine(job, ThreadPoolTaskRunner(max_workers=most)) as engine:
            yield engine
