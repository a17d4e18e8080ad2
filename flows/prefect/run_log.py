"""The log of a flow run: what was planned, stages and rows, what was resumed, and the warnings of the library."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from emberharmony.messages import count_of
from emberharmony.pipeline.events import JobPlanned
from emberharmony.report.progress_lines import ProgressLines
from emberharmony.report.sentences import plan_sentence

INTERVAL_S = 60.0
"""Time between two lines about the progress of a stage."""
PACKAGES = ("emberharmony", "flows", "tasks")

Log = logging.Logger | logging.LoggerAdapter[logging.Logger]


class LogCallback(ProgressLines):
    """Logs the plan, and each stage with its rows and its time."""

    def __init__(self, log: Log, *, interval_s: float = INTERVAL_S, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(lambda line: log.info("Stage %s.", line), interval_s=interval_s, clock=clock)
        self._log = log
        self.is_planned = False

    def planned(self, event: JobPlanned) -> None:
        """Log the plan."""
        self.is_planned, plan = True, event.plan
        n_workers = min(plan.memory.n_workers, len(plan.chunks))
        at_once = count_of(n_workers, "chunk")
        self._log.info("Planned: %s; %s at a time.", plan_sentence(plan, event.backend), at_once)


class _Forwarder(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._to = log

    def emit(self, record: logging.LogRecord) -> None:
        self._to.log(record.levelno, record.getMessage())


def warnings_in(log: Log) -> AbstractContextManager[None]:
    """Have the library's warnings, such as those of retries and outages, in the log of a flow run as well."""
    return records_to(_Forwarder(log))


@contextmanager
def records_to(handler: logging.Handler) -> Iterator[None]:
    """Let a handler take what this product's packages log."""
    loggers = [logging.getLogger(package) for package in PACKAGES]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
