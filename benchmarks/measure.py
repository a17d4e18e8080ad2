"""Time two or more sides in turns, and describe the machine."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """Time and peak memory of one process."""

    seconds: float
    peak_mb: float  # the largest of the process and the descendants it waited for
    cpu_seconds: float = 0.0  # of the process and the descendants it waited for


def turn_about(sides: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, list[float]]:
    """Seconds of every side in every round; the first round warms up and is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for counted in [False] + [True] * rounds:
        for name, side in sides.items():
            begin = time.perf_counter()
            side()
            if counted:
                seconds[name].append(time.perf_counter() - begin)
    return seconds


def print_ratios(title: str, seconds: Mapping[str, Sequence[float]], *, ours: str) -> None:
    """Print one line per side: median, range, and the ratio to our median."""
    print(f"\n{title}")
    our_median = statistics.median(seconds[ours])
    for name, times in seconds.items():
        median = statistics.median(times)
        ratio = "" if name == ours else f"{median / our_median:8.1f} x ours"
        print(f"  {name:<46} {median:9.3f} s  ({min(times):.3f} to {max(times):.3f}){ratio}")


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


def run_process(command: Sequence[str], *, log: Path) -> Process:
    """Run a command (the program by its absolute path) to its end; its output goes to `log`, which is shown on failure."""
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(log), *command]
    report = subprocess.run(launcher, stdout=subprocess.PIPE, check=True).stdout
    code, seconds, peak, cpu = json.loads(report)
    if code != 0:
        sys.exit(f"{' '.join(command)} ended with {code}:\n{log.read_text(errors='replace')[-4000:]}")
    return Process(seconds, peak / (2**20 if sys.platform == "darwin" else 2**10), cpu)  # bytes on macOS, kilobytes elsewhere


def print_machine(packages: Sequence[str]) -> None:
    """Print the machine and the package versions."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(
        f"{_cpu()}, {os.cpu_count()} cores{load}; {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    )
    print(", ".join(f"{name} {version(name)}" for name in packages))


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown CPU"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown CPU")
