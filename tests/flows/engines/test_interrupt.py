"""Signals end a process within seconds, with the status that shells expect and a line that says how to go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from flows.engines.interrupt import GRACE_S, hurry, stoppable

CODE = """
import sys, threading
from flows.engines import interrupt
interrupt.GRACE_S = 0.2
with interrupt.stoppable("Run it again.", at_once=lambda: print("at once", flush=True)):
    print("ready", flush=True)
    try:
        threading.Event().wait()
    finally:
        if sys.argv[1] == "busy":  # a thread that ends its chunk first
            threading.Event().wait()
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("how", ["idle", "busy"])
def test_the_status_is_that_of_the_signal(number, status, how):
    command = [sys.executable, "-c", CODE, how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        printed, errors = process.communicate(timeout=120)
    assert process.returncode == status
    assert printed == "at once\n"
    assert errors.endswith("\nRun it again.\n")


LOGS = """
import logging, os, psutil, signal
from flows.engines import interrupt

def children(self, recursive):
    logging.error("a connection broke")
    return []

psutil.Process.children = children
with interrupt.stoppable("Run it again."):
    logging.error("at work")
    os.kill(os.getpid(), signal.SIGTERM)
"""


def test_libraries_log_nothing_while_the_process_ends():
    done = subprocess.run([sys.executable, "-c", LOGS], capture_output=True, text=True, check=False)
    assert done.returncode == 143
    assert done.stderr == "ERROR:root:at work\n\nRun it again.\n"


IGNORED = """
import os, signal, sys, threading
from flows.engines import interrupt

class Final:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)

with interrupt.stoppable("Run it again."):
    Final()
    if sys.argv[1] == "waiting":
        threading.Event().wait(60)
"""


@pytest.mark.parametrize("block", ["waiting", "ended"])
def test_a_signal_in_a_finalizer_stops_as_well_and_prints_no_traceback(block):
    """Python ignores the errors of finalizers, and of callbacks of the garbage collector, which Dask has."""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", IGNORED, block], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "\nRun it again.\n")
    assert time.monotonic() - began < GRACE_S, "not ended by the timer"


def test_other_errors_of_finalizers_are_reported_as_before(monkeypatch):
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    before = sys.unraisablehook

    class Broken:
        def __del__(self) -> None:
            raise ValueError

    with stoppable("advice"):
        Broken()
    assert [report.exc_type for report in seen] == [ValueError]
    assert sys.unraisablehook is before


IMPATIENT = """
import os, signal, sys
from flows.engines import interrupt

class Finder:
    def find_spec(self, name, path, target=None):
        if name == "psutil._common":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
with interrupt.stoppable("Run it again."):
    os.kill(os.getpid(), signal.SIGINT)
"""


def test_a_second_signal_while_the_process_ends_changes_nothing():
    done = subprocess.run([sys.executable, "-c", IMPATIENT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "\nRun it again.\n")


SEMAPHORES = """
import multiprocessing, os, signal
from flows.engines import interrupt

with interrupt.stoppable("Run it again."):
    held = [multiprocessing.get_context("spawn").Semaphore() for _ in range(3)]
    os.kill(os.getpid(), signal.SIGTERM)
"""


def test_nobody_reports_the_semaphores_of_a_process_that_was_stopped():
    """The process that removes them outlives this one, and holds standard error open until it is done."""
    done = subprocess.run([sys.executable, "-c", SEMAPHORES], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (143, "\nRun it again.\n")


def test_handlers_are_those_of_before_again():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with stoppable("advice"):
        assert signal.getsignal(signal.SIGINT) not in before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_errors_of_the_work_pass_through():
    with pytest.raises(ZeroDivisionError), stoppable("advice"):
        _ = 1 / 0


def test_a_process_that_is_not_watched_is_not_ended(monkeypatch):
    monkeypatch.setattr(os, "_exit", lambda status: pytest.fail("the process was ended"))
    hurry()
