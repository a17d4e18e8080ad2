"""How far a stage is: what is done, how fast, and how long the rest will take."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from math import exp
from typing import Final

from emberharmony.messages import count_of, size_text
from emberharmony.pipeline.events import ItemDone, StageStarted

SMOOTHED_S: Final = 30.0
"""Time after which work counts a third as much as the latest in the speed that predicts the rest."""
SMOOTHED_ITEMS: Final = 8
"""Items over which the speed is smoothed at least, however long each takes."""
KNOWN_S: Final = 3.0
"""Time after which the rest is predicted at the earliest."""
KNOWN_ROUNDS: Final = 2
"""Items that every worker has to have done before: of the first, each has to load what it needs."""
LATE: Final = 3.0
"""A pause of so many times the longest one until now slows the prediction down."""


class Pace:
    """The speed of work whose pieces end at irregular times, as a decaying mean, and a prediction of the rest.

    Parameters
    ----------
    began : float
        When the work began, in seconds of any clock.

    Examples
    --------
    >>> pace = Pace(0.0)
    >>> for second in range(1, 11):
    ...     pace.add(100, at=float(second))
    >>> round(pace.per_second), round(pace.seconds_left(500, at=10.0)), round(pace.seconds_left(500, at=11.0))
    (100, 5, 4)
    """

    def __init__(self, began: float) -> None:
        self._began = self._last = began
        self._work = self._seconds = self._longest_s = 0.0
        self._n_done = 0

    def add(self, n: float, *, at: float) -> None:
        """Count a piece of work of this size that has ended."""
        passed = max(at - self._last, 0.0)
        self._n_done += 1
        mean_s = max(at - self._began, 0.0) / self._n_done
        kept = exp(-passed / max(SMOOTHED_S, SMOOTHED_ITEMS * mean_s))
        self._work = self._work * kept + n
        self._seconds = self._seconds * kept + passed
        self._longest_s = max(self._longest_s, passed)
        self._last = max(at, self._last)

    @property
    def per_second(self) -> float | None:
        """Work in a second, lately; ``None`` before anything is done."""
        return self._work / self._seconds if self._seconds else None

    def seconds_left(self, left: float, *, at: float, n_workers: int = 1) -> float | None:
        """Return the time until so much more is done; ``None`` as long as too little is known to tell."""
        known = self._n_done > KNOWN_ROUNDS * n_workers and self._last - self._began >= KNOWN_S
        if not known or not self._work:
            return None
        since = max(at - self._last, 0.0)
        if since > LATE * self._longest_s:
            return left * (self._seconds + since) / self._work
        return max(left * self._seconds / self._work - since, 0.0)


@dataclass
class WorkerProgress:
    """What one worker has done of a stage."""

    n_items: int = 0
    n_rows: int = 0


@dataclass
class StageProgress:
    """The state of a stage that its events make.

    Parameters
    ----------
    started : StageStarted
        The event with which the stage began.
    clock : callable
        Returns seconds that only grow.

    Examples
    --------
    >>> from emberharmony.pipeline.stages import PROFILE
    >>> progress = StageProgress(StageStarted(PROFILE, n_items=4, n_rows=4_000), clock=lambda: 0.0)
    >>> progress.add(ItemDone(0, n_rows=1_000, n_bytes=2_000_000, worker="host:1"))
    >>> print(progress.text())
    1 of 4 chunks (25 %), 2 MiB written
    """

    started: StageStarted
    clock: Callable[[], float] = time.monotonic
    n_bytes: int = 0
    workers: dict[str, WorkerProgress] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin to count."""
        self._began = self.clock()
        self._pace = Pace(self._began)
        self.done_items, self.done_rows = self.started.done_items, self.started.done_rows

    def add(self, done: ItemDone) -> None:
        """Count an item."""
        self.done_items += 1
        self.done_rows += done.n_rows
        self.n_bytes += done.n_bytes
        worker = self.workers.setdefault(done.worker, WorkerProgress())
        worker.n_items += 1
        worker.n_rows += done.n_rows
        self._pace.add(done.n_rows, at=self.clock())

    @property
    def title(self) -> str:
        """Name of the stage for people."""
        return self.started.stage.title

    @property
    def elapsed_s(self) -> float:
        """Seconds since the stage began."""
        return self.clock() - self._began

    @property
    def share(self) -> float:
        """Part of the stage that is done, by rows, in [0, 1]."""
        if self.started.n_rows:
            return self.done_rows / self.started.n_rows
        return self.done_items / self.started.n_items if self.started.n_items else 1.0

    @property
    def is_resumed_whole(self) -> bool:
        """Whether an earlier run has done all of it."""
        return self.started.done_items == self.started.n_items > 0

    @property
    def rows_per_second(self) -> float | None:
        """Rows in a second of the whole stage so far; ``None`` before any are done."""
        n_rows, seconds = self.done_rows - self.started.done_rows, self.elapsed_s
        return n_rows / seconds if n_rows and seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Predicted time until the stage ends; ``None`` as long as too little is known to tell."""
        left = self.started.n_rows - self.done_rows
        return self._pace.seconds_left(left, at=self.clock(), n_workers=len(self.workers)) if left > 0 else None

    def facts(self, *, brief: bool = False) -> list[str]:
        """What is done, how fast, and the time left: the most important first, without what is not known."""
        if self.started.stage.once:
            return []
        done, n_items = self.done_items, self.started.n_items
        facts = [f"{done:,}/{n_items:,} chunks" if brief else f"{done:,} of {n_items:,} chunks ({100 * self.share:.0f} %)"]
        left, speed = self.seconds_left, self.rows_per_second
        if left is not None:
            facts.append(f"about {rough_duration(left)} left")
        if speed is not None:
            facts.append(f"{count_text(speed)} rows/s")
        if self.n_bytes:
            facts.append(f"{size_text(self.n_bytes)} written")
        return facts

    def text(self) -> str:
        """Return the facts as one text."""
        return ", ".join(self.facts())

    def begun_text(self) -> str:
        """What the stage has to do."""
        started = self.started
        resumed = f", of which an earlier run has done {started.done_items:,}" if started.done_items else ""
        return f"{count_of(started.n_items, 'chunk')} of {started.n_rows:,} rows{resumed}"

    def ended_text(self) -> str:
        """What the stage has done, and how long it took."""
        if self.is_resumed_whole:
            return "done by an earlier run"
        parts = [f"{self.elapsed_s:.1f} s"]
        if not self.started.stage.once:
            parts.append(count_of(self.done_items - self.started.done_items, "chunk"))
        if self.rows_per_second is not None:
            parts.append(f"{count_text(self.rows_per_second)} rows/s")
        if self.n_bytes:
            parts.append(f"{size_text(self.n_bytes)} written")
        return ", ".join(parts)


def worker_labels(names: Mapping[str, object]) -> list[str]:
    """Short names of workers, in order: without the host if it is the same, nor the process if that is.

    Examples
    --------
    >>> worker_labels({"a:17/1": 0, "a:17/2": 0}), worker_labels({"a:17": 0, "a:18": 0})
    (['thread 1', 'thread 2'], ['process 17', 'process 18'])
    >>> worker_labels({"a:17": 0, "b:18": 0}), worker_labels({"gpu/1": 0, "cpu/1": 0})
    (['a, process 17', 'b, process 18'], ['gpu/1', 'cpu/1'])
    """
    places = [name.partition(":") for name in names]
    one_host = len({host for host, *_ in places}) == 1
    one_process = one_host and len({process.partition("/")[0] for *_, process in places}) == 1
    labels = []
    for host, colon, where in places:
        process, _, thread = where.partition("/")
        if not colon:
            labels.append(host)
        elif one_process and thread:
            labels.append(f"thread {thread}")
        else:
            parts = [] if one_host else [host], [f"process {process}"], [f"thread {thread}"] if thread else []
            labels.append(", ".join(chain.from_iterable(parts)))
    return labels


def count_text(n: float) -> str:
    """A large number in a few characters.

    Examples
    --------
    >>> count_text(950.4), count_text(12_300), count_text(4_560_000), count_text(78_900_000)
    ('950', '12 k', '4.6 M', '79 M')
    """
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if n >= size:
            return f"{n / size:.{1 if n < 10 * size else 0}f} {unit}"
    return f"{n:.0f}" if n >= 10 else f"{n:.1f}"


def rough_duration(seconds: float) -> str:
    """A duration as precisely as a prediction is worth.

    Examples
    --------
    >>> [rough_duration(s) for s in (0.3, 12.4, 200, 6_000, 50_000, 400_000)]
    ['1 s', '12 s', '3 min', '1 h 40 min', '14 h', '4.6 days']
    """
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    if minutes < 6 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{seconds / 3600:.0f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
