"""The peak of a job's processes."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil

from emberharmony.pipeline.peak_memory import SAMPLE_S, PeakMemory

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
