"""A limit of reads that all hosts share: a global concurrency limit of the Prefect server, if it has one of this name.

    prefect gcl create emberharmony-bigquery-reads --limit 8

Worker processes of `engine: processes` import no Prefect and are not limited; `runtime.workers` bounds them.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

LIMIT = "emberharmony-bigquery-reads"
CHECK_S = 60.0
"""Time after which the server is asked again whether it has the limit."""

_log = logging.getLogger(__name__)


class _Known:
    """Whether a server has the limit, as it said a short time ago."""

    def __init__(self) -> None:
        self._server: str | None = None
        self._until = 0.0
        self._is_there = False
        self._lock = threading.Lock()

    def is_there(self) -> bool:
        """Ask the server, unless it was asked within `CHECK_S`."""
        from prefect.settings import PREFECT_API_URL

        server, now = PREFECT_API_URL.value(), time.monotonic()
        with self._lock:  # others wait for the answer
            if server != self._server or now > self._until:
                self._server, self._until = server, now + CHECK_S
                self._is_there = _ask()
            return self._is_there


_known = _Known()


@contextmanager
def bigquery_read() -> Iterator[None]:
    """Hold a slot of the limit; without a limit, a server or an answer, rows are read without one."""
    held = ExitStack()
    if _in_task_run() and _known.is_there():
        from prefect.concurrency.sync import concurrency

        with _told("is not waited for"):
            held.enter_context(concurrency(LIMIT, raise_on_lease_renewal_failure=False))
    try:
        yield
    finally:
        with _told("gets its slot back when its lease ends"):
            held.close()


def _in_task_run() -> bool:
    """Whether the current context is that of a task run; without Prefect, which takes 1.6 s to import, there is none."""
    context = sys.modules.get("prefect.context")
    return context is not None and context.TaskRunContext.get() is not None


def _ask() -> bool:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    with _told("is not known"), get_client(sync_client=True) as client, suppress(ObjectNotFound):
        return client.read_global_concurrency_limit_by_name(LIMIT).active
    return False


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the work needs no server, whatever becomes of it
        _log.warning("The concurrency limit %s %s: %s", LIMIT, what, error)
