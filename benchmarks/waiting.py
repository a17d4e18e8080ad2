"""How long a process waits: how many of its threads could run, as Linux says every few milliseconds.

    python -m benchmarks.waiting JOB

JOB is a job as JSON, which is run and watched; the last line that is printed holds what `WatchedJob` says.

A thread that waits for another process to leave its core counts as one that runs. So what a job waits for servers is found on
a busy machine too, but there it hides more of it: its own work takes longer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from benchmarks.jobs import run_job_here
from benchmarks.measure import run_process
from emberharmony.pipeline.callback import Callback
from emberharmony.pipeline.events import StageEnded, StageStarted
from emberharmony.threads import available_cores
from emberharmony.typing import FloatArray

INTERVAL_S = 0.004

# Sampled by another process, which needs no turn of the interpreter of the watched one. The state follows the name, which may
# hold spaces and brackets itself.
_SAMPLER = """
import glob, os, select, struct, sys, time
tasks, out = f"/proc/{sys.argv[1]}/task/*/stat", sys.stdout.buffer
while not select.select([sys.stdin], [], [], float(sys.argv[2]))[0]:
    n = 0
    for path in glob.glob(tasks):
        try:
            with open(path, "rb") as handle:
                n += handle.read(400).rpartition(b") ")[2].startswith(b"R")
        except OSError:
            continue
    out.write(struct.pack("dd", time.monotonic(), n))
"""


@dataclass
class Watch:
    """Samples of a process."""

    times: FloatArray = field(default_factory=lambda: np.empty(0))
    """When, by `time.monotonic`."""
    running: FloatArray = field(default_factory=lambda: np.empty(0))
    """Threads that ran, or would have run on a machine with more cores."""

    def waiting(self, begin: float = -np.inf, end: float = np.inf, *, workers: int = 1) -> float:
        """Return the share of their time that so many workers waited; 0 if it was too short for a sample.

        Examples
        --------
        >>> Watch(np.arange(4.0), np.array([0.0, 1.0, 2.0, 3.0])).waiting(workers=2)
        0.375
        """
        within = self.running[(self.times >= begin) & (self.times < end)]
        return float(1.0 - np.minimum(within, workers).mean() / workers) if len(within) else 0.0


@contextmanager
def watched(pid: int, interval_s: float = INTERVAL_S) -> Iterator[Watch]:
    """Watch a process until the block ends; then the samples are there."""
    watch, command = Watch(), [sys.executable, "-I", "-S", "-c", _SAMPLER, str(pid), str(interval_s)]
    with tempfile.TemporaryFile() as collected:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=collected) as sampler:
            try:
                yield watch
            finally:
                sampler.communicate(b"\n")
        collected.seek(0)
        samples = np.frombuffer(collected.read()).reshape(-1, 2)
    watch.times, watch.running = samples[:, 0], samples[:, 1]


class StageTimes(Callback):
    """When each stage began and ended, by `time.monotonic`, and the CPU seconds of the process until then."""

    def __init__(self) -> None:
        self.begun: dict[str, tuple[float, float]] = {}
        self.ended: dict[str, tuple[float, float]] = {}

    def stage_started(self, event: StageStarted) -> None:
        """Note the time."""
        self.begun[event.stage.title] = time.monotonic(), time.process_time()

    def stage_ended(self, event: StageEnded) -> None:
        """Note the time."""
        self.ended[event.stage.title] = time.monotonic(), time.process_time()


@dataclass(frozen=True)
class StageWait:
    """How long a stage took, its CPU seconds, and the seconds that all its workers together waited."""

    stage: str
    seconds: float
    cpu_seconds: float
    waited_seconds: float

    @classmethod
    def of(cls, times: StageTimes, watch: Watch, *, workers: int) -> list[Self]:
        """Return that of each stage, in order."""
        found = []
        for stage, (end, cpu_end) in times.ended.items():
            begin, cpu_begin = times.begun[stage]
            waited = watch.waiting(begin, end, workers=workers) * workers * (end - begin)
            found.append(cls(stage, end - begin, cpu_end - cpu_begin, waited))
        return found

    @property
    def waiting(self) -> float:
        """Share of the workers' time that was spent waiting, if all else is computing: load by others is left out."""
        return self.waited_seconds / ((self.waited_seconds + self.cpu_seconds) or 1.0)

    def __str__(self) -> str:
        """Return it in words.

        Examples
        --------
        >>> print(StageWait("project", 9.25, cpu_seconds=3.0, waited_seconds=1.0))
        project 3.0 s CPU, 1.0 s waited (25 %)
        """
        return f"{self.stage} {self.cpu_seconds:.1f} s CPU, {self.waited_seconds:.1f} s waited ({100 * self.waiting:.0f} %)"


@dataclass(frozen=True)
class WatchedJob:
    """What a job took, without the start of Python, and how long its workers waited."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    planned_mb: float
    stages: list[StageWait]

    @classmethod
    def run(cls, job: dict[str, Any], *, log: Path) -> Self:
        """Run a job in a process of its own."""
        run_process([sys.executable, "-m", "benchmarks.waiting", json.dumps(job)], log=log)
        told = json.loads(log.read_text().splitlines()[-1])
        return cls(**told | {"stages": [StageWait(**stage) for stage in told["stages"]]})

    @classmethod
    def run_here(cls, job: dict[str, Any]) -> Self:
        """Run a job in this process."""
        workers, times = job["runtime"].get("workers", available_cores()), StageTimes()
        with watched(os.getpid()) as watch:
            cost = run_job_here(job, times)
        seconds, cpu, peak, planned = cost.job_seconds, cost.job_cpu_seconds, cost.job_peak_mb, cost.planned_mb
        return cls(seconds, cpu, peak, planned, StageWait.of(times, watch, workers=workers))

    def __str__(self) -> str:
        """Return it in words, in two lines."""
        seconds, cpu, waited = (
            sum(getattr(it, name) for it in self.stages) for name in ("seconds", "cpu_seconds", "waited_seconds")
        )
        whole = StageWait(f"{self.seconds:.1f} s; its stages", seconds, cpu, waited)
        memory = f"{self.peak_mb:.0f} of {self.planned_mb:.0f} MB planned"
        return f"{whole}; {memory}\n      {'; '.join(map(str, self.stages))}"


def main() -> None:
    from flows.cli.startup import prepare_process

    prepare_process()  # as the command does
    print(json.dumps(asdict(WatchedJob.run_here(json.loads(sys.argv[1])))))


if __name__ == "__main__":
    main()
