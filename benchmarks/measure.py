"""Wall seconds, CPU seconds and peak memory of several sides, measured in turns."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

T = TypeVar("T")

_REST_SECONDS = 0.1  # before each measured side: after a product, threads of BLAS keep a core busy for up to 0.03 s


@dataclass(frozen=True)
class Cost:
    """What a piece of work took. On a machine that others use as well, CPU seconds say more than wall seconds."""

    seconds: float
    cpu_seconds: float  # of all threads; of a process also those of the descendants that it waited for
    peak_mb: float = math.nan  # of a process, the largest of it and the descendants that it waited for

    def __add__(self, other: Self) -> Self:
        """Return the cost of doing both, one after the other, without a peak."""
        return type(self)(self.seconds + other.seconds, self.cpu_seconds + other.cpu_seconds)

    def __str__(self) -> str:
        """Return the cost in words."""
        peak = "" if math.isnan(self.peak_mb) else f", {self.peak_mb:,.0f} MB"
        return f"{_digits(self.seconds)} s, {_digits(self.cpu_seconds)} s CPU{peak}"


def _digits(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds >= 10 else f"{seconds:.3g}"


def timed(work: Callable[[], T]) -> tuple[Cost, T]:
    """Do the work, and return what it took in this process, and its result."""
    began, cpu = time.perf_counter(), time.process_time()
    result = work()
    return Cost(time.perf_counter() - began, time.process_time() - cpu), result


def turn_about(sides: Mapping[str, Callable[[], object]], *, rounds: int, warm_up: bool = True) -> dict[str, list[Cost]]:
    """Cost of every side in every round; sides take turns, each after a rest. A first round warms up and is not counted."""
    costs: dict[str, list[Cost]] = {name: [] for name in sides}
    for counted in [False] * warm_up + [True] * rounds:
        for name, side in sides.items():
            if counted:
                time.sleep(_REST_SECONDS)
            cost, _ = timed(side)
            if counted:
                costs[name].append(cost)
    return costs


def median_of(costs: Iterable[Cost]) -> Cost:
    """Median of each number: of the wall seconds, of the CPU seconds, of the peaks.

    Examples
    --------
    >>> print(median_of([Cost(1.0, 2.0), Cost(9.0, 4.0), Cost(2.0, 3.0)]))
    2 s, 3 s CPU
    """
    found = list(costs)
    return Cost(*(statistics.median(numbers) for numbers in zip(*map(_numbers, found), strict=True)))


def _numbers(cost: Cost) -> tuple[float, float, float]:
    return cost.seconds, cost.cpu_seconds, cost.peak_mb


def print_ratios(title: str, costs: Mapping[str, Sequence[Cost]], *, ours: str) -> None:
    """Print one line per side: median, range, and the ratio to our median."""
    print(f"\n{title}")
    our_median = median_of(costs[ours]).seconds
    for name, of_side in costs.items():
        median, times = median_of(of_side), [cost.seconds for cost in of_side]
        ratio = "" if name == ours else f"{median.seconds / our_median:8.1f} x ours"
        spread = f"({min(times):.3f} to {max(times):.3f}), {median.cpu_seconds:.3f} s CPU"
        print(f"  {name:<46} {median.seconds:9.3f} s  {spread}{ratio}")


# On Linux a child's peak memory starts at its parent's resident size, so a small launcher starts the measured process.
_LAUNCHER = """
import json, os, sys, time
begin = time.perf_counter()
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ, file_actions=[
    (os.POSIX_SPAWN_OPEN, 1, sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), (os.POSIX_SPAWN_DUP2, 1, 2),
])
_, status, usage = os.wait4(child, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), time.perf_counter() - begin, usage.ru_maxrss,
    usage.ru_utime + usage.ru_stime]))
"""


class FailedError(Exception):
    """A measured process ended with an error."""


def run_process(command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None) -> Cost:
    """Run a command (the program by its absolute path) to its end; its output goes to `log`.

    Raises
    ------
    FailedError
        If it ends with an error; the message ends with the output's last lines.
    """
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(log), *command]
    report = subprocess.run(launcher, stdout=subprocess.PIPE, check=True, env=environment).stdout
    code, seconds, peak, cpu = json.loads(report)
    if code != 0:
        raise FailedError(f"{' '.join(command)} ended with {code}:\n{log.read_text(errors='replace')[-4000:]}")
    return Cost(seconds, cpu, peak / (2**20 if sys.platform == "darwin" else 2**10))  # bytes on macOS, kilobytes elsewhere
