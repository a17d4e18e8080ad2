"""The log of a flow run: what was planned, stages and rows, what was resumed, and the warnings of the library."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from emberharmony.pipeline.callback import Callback
from emberharmony.pipeline.plan import Plan
from emberharmony.pipeline.stages import Stage
from emberharmony.report.sentences import plan_sentence

INTERVAL_S = 60.0
"""Time between two lines about the progress of a stage."""
PACKAGES = ("emberharmony", "flows", "tasks")

Log = logging.Logger | logging.LoggerAdapter[logging.Logger]


class LogCallback:
    """Logs the plan, each stage with its rows and its time, and forwards each call to another callback."""

    def __init__(self, inner: Callback, log: Log, *, interval_s: float = INTERVAL_S) -> None:
        self.is_planned = False
        self._inner, self._log, self._interval_s = inner, log, interval_s
        self._stage: Stage | None = None
        self._done = self._before = self._total = 0
        self._began = self._told = 0.0

    def planned(self, plan: Plan, backend: str) -> None:
        """Log the plan."""
        self.is_planned = True
        n_workers = min(plan.memory.n_workers, len(plan.chunks))
        at_once = "one chunk" if n_workers == 1 else f"{n_workers} chunks"
        self._log.info("Planned: %s; %s at a time.", plan_sentence(plan, backend), at_once)
        self._inner.planned(plan, backend)

    def stage(self, stage: Stage, *, done_rows: int, total_rows: int) -> None:
        """Log the end of the stage before, and that this one begins."""
        self.end()
        self._stage, self._done, self._before, self._total = stage, done_rows, done_rows, total_rows
        self._began = self._told = time.monotonic()
        if done_rows < total_rows and not stage.once:
            resumed = f", of which an earlier run has done {done_rows:,}" if done_rows else ""
            self._log.info("Stage %s begins: %s rows%s.", stage.title, f"{total_rows:,}", resumed)
        self._inner.stage(stage, done_rows=done_rows, total_rows=total_rows)

    def advance(self, n_rows: int) -> None:
        """Log the progress of a long stage once a minute."""
        self._done += n_rows
        now = time.monotonic()
        if self._stage and now - self._told >= self._interval_s and self._done < self._total:
            self._told = now
            share = self._done / max(self._total, 1)
            self._log.info("Stage %s: %.0f %% of the rows after %.0f s.", self._stage.title, 100 * share, now - self._began)
        self._inner.advance(n_rows)

    def end(self) -> None:
        """Log the end of the last stage."""
        stage, self._stage = self._stage, None
        if stage is None:
            return
        if self._done == self._before > 0:
            self._log.info("Stage %s: an earlier run has done it.", stage.title)
            return
        seconds = time.monotonic() - self._began
        speed = "" if stage.once else f" ({(self._done - self._before) / max(seconds, 1e-3):,.0f} rows/s)"
        self._log.info("Stage %s took %.1f s%s.", stage.title, seconds, speed)


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
