"""Runs on any engine that are killed at chosen changes of the file system, counted over all of their processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import forkserver
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from emberharmony.pipeline.callback import Callback
from emberharmony.pipeline.events import StageStarted
from emberharmony.pipeline.execute import run_job
from flows.config.job import parse_job
from tests.faults.victims import CHANGES, fork, prefect_at, status_of, wait_until


@dataclass(frozen=True)
class Kills:
    """Kills whoever makes some changes of the file system, counted from the start of a stage on.

    Each change is a byte of a file that all processes of the run append to: its place there is its number.
    """

    folder: Path
    stage: str
    at: Sequence[int]
    of_run: bool = False  # a worker process takes the process that runs the job with it
    settings: Mapping[str, Any] = field(default_factory=dict)  # by dotted names, of all processes of the run

    def run(self, job: dict[str, Any], api: str | None) -> int:
        """Run a job with its engine until all of its processes have ended; returns the exit status, negative for a signal."""
        (self.folder / "workers").mkdir(parents=True)
        status = status_of(fork(_run, self, job, api))
        wait_until(lambda: not any(map(psutil.pid_exists, self._workers)))
        return status

    @property
    def n_kills(self) -> int:
        """How often a process was killed, alone or with its run."""
        return len(list(self.folder.glob("killed-*")))

    @property
    def n_workers(self) -> int:
        """Worker processes that were started."""
        return len(self._workers)

    @property
    def _workers(self) -> list[int]:
        return [int(path.name) for path in (self.folder / "workers").iterdir()]

    def watch(self) -> None:
        """Count the changes of this process."""
        patch = pytest.MonkeyPatch()
        for name, value in self.settings.items():
            patch.setattr(name, value)
        for name in CHANGES:
            patch.setattr(os, name, self._watched(getattr(os, name)))

    def begin(self) -> None:
        """Begin to count in all processes."""
        (self.folder / "changes").touch()

    def _watched(self, change: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            number = self._number()
            if number in self.at:
                self._kill(number)
            return change(*args, **kwargs)

        return watched

    def _number(self) -> int:
        """The number of the change that is about to happen; 0 before the stage."""
        try:
            file = os.open(self.folder / "changes", os.O_WRONLY | os.O_APPEND)
        except FileNotFoundError:
            return 0
        try:
            os.write(file, b".")
            return os.lseek(file, 0, os.SEEK_CUR)
        finally:
            os.close(file)

    def _kill(self, number: int) -> None:
        (self.folder / f"killed-{number}").touch()
        if self.of_run and os.getpid() in self._workers:
            parent = multiprocessing.parent_process()
            assert parent is not None
            os.kill(parent.pid, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


class _Beginning(Callback):
    def __init__(self, kills: Kills) -> None:
        self._kills = kills

    def stage_started(self, event: StageStarted) -> None:
        if event.stage.name == self._kills.stage:
            self._kills.begin()


def _run(kills: Kills, job: dict[str, Any], api: str | None) -> None:
    """Run a job, within a flow if its engine needs one; its workers are forks of the server that has made this process."""
    from prefect import flow

    from tasks import processes

    kills.watch()
    forkserver._forkserver.ensure_running = lambda: None  # type: ignore[method-assign] # else, a fork starts another server
    processes.multiprocessing = SimpleNamespace(get_context=lambda _: multiprocessing.get_context("forkserver"))
    processes._work = partial(_work, kills)
    parsed = parse_job(job)

    def work() -> None:
        with parsed.engine.open(parsed) as engine:
            run_job(parsed, engine, _Beginning(kills))

    with prefect_at(api) if api else nullcontext():
        (flow(name="killed", persist_result=False)(work) if api else work)()


def _work(kills: Kills, lines: list[Any], begun: Any) -> None:
    """Do what a worker process does, and count its changes."""
    from tasks import processes

    (kills.folder / "workers" / str(os.getpid())).touch()
    kills.watch()
    processes._work(lines, begun)
