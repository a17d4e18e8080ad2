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


def test_children_are_known_without_a_look_at_all_processes():
    code = """
import subprocess, sys
from emberharmony.pipeline.peak_memory import has_children
alone = has_children()
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
running = has_children()
child.stdin.close()
import time
time.sleep(0.5)
ended = has_children(), has_children()
print(alone, running, ended, child.wait(), has_children())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    # The status of a child that has ended (1: no line to read) is left to whoever waits for it.
    assert done.stdout.split() == ["False", "True", "(True,", "True)", "1", "False"], done.stderr
