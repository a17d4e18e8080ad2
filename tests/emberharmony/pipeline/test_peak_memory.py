"""The peak of a job's processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psutil
import pytest

from emberharmony.pipeline import peak_memory
from emberharmony.pipeline.peak_memory import SAMPLE_S, PeakMemory, descendants

HOLD = "x = bytearray(80 * 2**20); print(flush=True); input()"


def test_the_peak_is_that_of_all_processes():
    peak, this = PeakMemory(), psutil.Process()
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        with peak.sampling():
            end = time.monotonic() + 20
            while not peak.sampled_bytes and time.monotonic() < end:
                time.sleep(SAMPLE_S / 4)
        child.stdin.close()
    assert peak.sampled_bytes > this.memory_info().rss * 0.5 + 80 * 2**20


@pytest.mark.parametrize("listed", [True, False], ids=["by Linux", "by psutil"])
def test_descendants_are_all_processes_below_this_one(monkeypatch, tmp_path, listed):
    if not listed:
        monkeypatch.setattr(peak_memory, "PROC", tmp_path)
    n_before, shell = len(descendants()), ["sh", "-c", "sleep 60 & echo; wait"]
    with ExitStack() as ending, ThreadPoolExecutor(2) as pool:

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(shell, stdout=subprocess.PIPE, start_new_session=True)

        # Linux lists the children of each thread apart.
        for child in (pool.submit(start).result(), start()):
            ending.callback(child.wait)
            ending.callback(os.killpg, child.pid, signal.SIGKILL)
            ending.enter_context(child.stdout).readline()
        found = {process.pid for process in descendants()}
        assert len(found) == n_before + 4
        assert found == {process.pid for process in psutil.Process().children(recursive=True)}
