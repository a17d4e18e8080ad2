"""`engine: auto`: Prefect where it is in use already, and this process alone otherwise."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from flows.engines.base import Choice, EngineKind
from flows.engines.local import Local
from flows.engines.threads import Threads

if TYPE_CHECKING:
    from emberharmony.pipeline.job import Engine
    from flows.config.job import AnyJob

HINT = (
    "To see runs in the Prefect UI, start a server with `prefect server start`, then run "
    "`prefect config set PREFECT_API_URL=http://127.0.0.1:4200/api`."
)


class Auto(EngineKind):
    """Prefect's threads if the job is inside a flow run, needs Prefect or finds it configured; otherwise the local engine."""

    name = "auto"

    def choose(self, job: AnyJob) -> Choice:
        """Return the engine to use for a job, here and now.

        Raises
        ------
        TerminalError
            If Prefect's settings cannot be read.
        """
        kind, reason, hint = self._chosen(job)
        return Choice(kind, reason, kind.advice(job) or hint)

    def _chosen(self, job: AnyJob) -> Choice:
        from flows.prefect.server import is_configured

        if _in_flow_run():
            return Choice(Threads(), "the job runs inside a Prefect flow")
        if is_configured():
            return Choice(Threads(), "a Prefect API is configured", "To run without Prefect, set runtime.engine=local.")
        if job.needs_block:
            return Choice(Threads(), "its credentials are in a Prefect block")
        return Choice(Local(), "no Prefect API is configured", HINT)

    def open(self, job: AnyJob) -> AbstractContextManager[Engine]:
        """Start the engine that is chosen here."""
        return self.choose(job).kind.open(job)


def _in_flow_run() -> bool:
    """Whether the current context is that of a flow run; without Prefect there is none."""
    context = sys.modules.get("prefect.context")
    return context is not None and context.FlowRunContext.get() is not None
