"""Where benchmarks run, at which size, and what they return: rows of one table."""

from __future__ import annotations

import contextlib
import io
import math
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeVar

from benchmarks.jobs import JobCost, run_job, run_job_here
from benchmarks.measure import Cost, run_process, timed
from benchmarks.table import write_table
from emberharmony.pipeline.peak_memory import peak_bytes

T = TypeVar("T")


@dataclass(frozen=True)
class Target:
    """A number of DESIGN.md, section 9, that a ratio must not exceed, or must reach.

    Examples
    --------
    >>> print(Target(at_most=1.5), Target(at_least=20))
    ≤ 1.5 ≥ 20
    >>> Target(at_most=1.5).is_met(1.4), Target(at_least=20).is_met(13)
    (True, False)
    """

    at_most: float = math.inf
    at_least: float = -math.inf

    def is_met(self, ratio: float) -> bool:
        """Whether a ratio reaches the target."""
        return self.at_least <= ratio <= self.at_most

    def reached(self, ratio: float) -> float:
        """How far a ratio is, as a share of the target: 1 and more is met."""
        return self.at_most / ratio if math.isfinite(self.at_most) else ratio / self.at_least

    def __str__(self) -> str:
        """Return the bound."""
        return f"≤ {self.at_most:g}" if math.isfinite(self.at_most) else f"≥ {self.at_least:g}"


@dataclass(frozen=True)
class Measurement:
    """One row: what was measured, both sides, their ratio, and the ratio's target, if there is one."""

    what: str
    ours: str
    beside: str  # the other side, with its version
    other: str
    ratio: float
    cpu_ratio: float = math.nan  # of CPU seconds, which a busy machine changes less
    target: Target | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether the target is reached; None without a target."""
        return self.target.is_met(self.ratio) if self.target else None


def times_the_cost(what: str, ours: Cost, beside: str, other: Cost, target: Target | None = None) -> Measurement:
    """Return how many times the other side's seconds ours took: less is better."""
    ratio, cpu = ours.seconds / other.seconds, ours.cpu_seconds / other.cpu_seconds
    return Measurement(what, str(ours), beside, str(other), ratio, cpu, target)


def times_as_fast(what: str, ours: Cost, beside: str, other: Cost, target: Target | None = None) -> Measurement:
    """Return how many times as fast as the other side ours was: more is better."""
    ratio, cpu = other.seconds / ours.seconds, other.cpu_seconds / ours.cpu_seconds
    return Measurement(what, str(ours), beside, str(other), ratio, cpu, target)


def times_the_memory(what: str, ours: Cost, beside: str, other: Cost, target: Target | None = None) -> Measurement:
    """Return how many times the other side's peak memory ours took: less is better."""
    sides = f"{ours.peak_mb:,.0f} MB", f"{other.peak_mb:,.0f} MB"
    return Measurement(what, sides[0], beside, sides[1], ours.peak_mb / other.peak_mb, target=target)


@dataclass(frozen=True)
class Workbench:
    """Where benchmarks run, and how large they are. Tables are written once and used by all of them."""

    folder: Path
    smoke: bool = False  # tiny tables, one round, everything in this process: tests that a benchmark works

    def pick(self, full: T, smoke: T) -> T:
        """Return the size for a smoke run, or the full one."""
        return smoke if self.smoke else full

    @cached_property
    def rounds(self) -> int:
        """Rounds of each benchmark, of which the median counts."""
        return self.pick(3, 1)

    @property
    def result(self) -> Path:
        """Where jobs write."""
        return self.folder / "result"

    def table(self, n_rows: int) -> Path:
        """Return the benchmarks' table of so many rows, in order of time, as one series."""
        return self.made(f"table-{n_rows}.parquet", lambda path: write_table(path, n_rows=n_rows))

    def made(self, name: str, make: Callable[[Path], object]) -> Path:
        """Return a table's path; `make` writes it, unless it is there."""
        path = self.folder / name
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(f"unfinished-{name}")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.unlink(missing_ok=True)
            make(unfinished)
            unfinished.rename(path)
        return path

    def run_job(self, job: dict[str, Any]) -> JobCost:
        """Run a job in a process of its own, or in this one in a smoke run."""
        return run_job_here(job) if self.smoke else run_job(job, log=self.folder / "log.txt")

    def run_module(self, name: str, *arguments: str) -> Cost:
        """Run a module of ours that has `main` with its arguments as a script, in the same way."""
        if self.smoke:
            with _arguments(name, arguments), contextlib.redirect_stdout(io.StringIO()):
                cost, _ = timed(import_module(name).main)
            return Cost(cost.seconds, cost.cpu_seconds, peak_bytes() / 2**20)  # of all that this process has done
        return run_process([sys.executable, "-m", name, *arguments], log=self.folder / "log.txt")


@contextlib.contextmanager
def _arguments(name: str, arguments: Sequence[str]) -> Iterator[None]:
    before, sys.argv = sys.argv, [name, *arguments]
    try:
        yield
    finally:
        sys.argv = before


class SkippedError(Exception):
    """A benchmark needs something that this machine lacks; the message says what."""


class Benchmark(Protocol):
    """A module of this package that measures rows of the table."""

    def measure(self, bench: Workbench) -> Iterator[Measurement]:
        """Yield rows, each as soon as it is measured."""
        ...
