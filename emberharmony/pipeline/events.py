"""What happens in a run, as small values that callbacks get; all of them are made in the process that runs the job."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from platform import node
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emberharmony.pipeline.plan import Plan
    from emberharmony.pipeline.stages import Stage


@dataclass(frozen=True)
class JobPlanned:
    """A job is planned and staged, and its first stage is about to begin."""

    plan: Plan
    backend: str
    memory: Callable[[], int]
    """Returns the bytes that this process and its children hold, as last sampled; 0 before the first sample."""


@dataclass(frozen=True)
class StageStarted:
    """A stage begins; an earlier run may have done some of its items."""

    stage: Stage
    n_items: int
    """Chunks, or whatever the stage works on; 1 for a stage that runs once."""
    n_rows: int
    """Rows of all items; 0 for a stage that runs once."""
    done_items: int = 0
    done_rows: int = 0


@dataclass(frozen=True)
class ItemDone:
    """An item of a stage is done. Engines yield this value, which may come from another host."""

    item: int
    n_rows: int = 0
    n_bytes: int = 0
    """Bytes written; 0 if another worker had done it already, or nothing is known."""
    worker: str = ""
    """Who did it, see `current_worker`."""


@dataclass(frozen=True)
class StageEnded:
    """All items of a stage are done."""

    stage: Stage


def current_worker() -> str:
    """Return a name of who calls this: the host, the process, and the number of the thread in its pool.

    Examples
    --------
    >>> import os, platform
    >>> current_worker() == f"{platform.node()}:{os.getpid()}"
    True
    """
    return f"{node()}:{os.getpid()}{_thread_part(threading.current_thread().name)}"


@cache
def _thread_part(name: str) -> str:
    """The number of a thread of a pool, whose name ends with it, counted from 1.

    Examples
    --------
    >>> _thread_part("ThreadPoolExecutor-0_1"), _thread_part("MainThread")
    ('/2', '')
    """
    number = re.search(r"_(\d+)$", name)
    return f"/{int(number[1]) + 1}" if number else ""
