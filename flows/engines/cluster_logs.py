"""The libraries of clusters log while a cluster works, and are silent once the run closes it or stops.

The connections of a cluster that is closed break one after another. Its library logs an error with a traceback for every
message that is on its way, a heartbeat for example, in this process and in those of the workers.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ClusterLogs:
    """Whether the libraries of a cluster may log, for all processes of this host."""

    path: Path
    """A file that exists as long as they may."""

    def is_open(self) -> bool:
        """Whether they may."""
        return self.path.exists()

    def close(self) -> None:
        """Silence them."""
        self.path.unlink(missing_ok=True)


@contextmanager
def logging_until_closed(*loggers: str) -> Iterator[ClusterLogs]:
    """Let loggers write to their handlers until the object that this yields is closed.

    Enter it before the cluster, and close the object before the cluster.

    Parameters
    ----------
    *loggers : str
        Names of loggers. Those below them in the hierarchy are included.

    Examples
    --------
    >>> with logging_until_closed("distributed") as logs:
    ...     logs.close()
    ...     logging.getLogger("distributed.comm").error("Nobody reads this.")
    """
    descriptor, path = tempfile.mkstemp(prefix="emberharmony-cluster-")
    os.close(descriptor)
    logs = ClusterLogs(Path(path))
    handlers = _handlers(loggers)
    passes = _passes(loggers, logs.is_open)
    for handler in handlers:
        handler.addFilter(passes)
    try:
        yield logs
    finally:
        logs.close()
        for handler in handlers:
            handler.removeFilter(passes)


def log_until_closed(logs: ClusterLogs, *loggers: str) -> None:
    """Do the same in a worker process, for the rest of its life; it is silent also when its parent has ended.

    Parameters
    ----------
    logs : ClusterLogs
        What `logging_until_closed` yields in the process of the run.
    *loggers : str
        Names of loggers. Those below them in the hierarchy are included.
    """
    parent = os.getppid()
    passes = _passes(loggers, lambda: os.getppid() == parent and logs.is_open())
    for handler in _handlers(loggers):
        handler.addFilter(passes)


def _passes(loggers: tuple[str, ...], is_open: Callable[[], bool]) -> Callable[[logging.LogRecord], bool]:
    prefixes = tuple(f"{name}." for name in loggers)
    return lambda record: is_open() or not f"{record.name}.".startswith(prefixes)


def _handlers(loggers: tuple[str, ...]) -> set[logging.Handler]:
    """Return the handlers that get records of loggers: their own, and those of loggers above them."""
    handlers = {logging.lastResort} if logging.lastResort else set()  # for loggers without any handler
    for name in loggers:
        logger: logging.Logger | None = logging.getLogger(name)
        while logger is not None:
            handlers.update(logger.handlers)
            logger = logger.parent if logger.propagate else None
    return handlers
