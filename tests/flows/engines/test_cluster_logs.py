"""Libraries of clusters log until their cluster is closed, here and in worker processes; other loggers always."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys

import pytest

from flows.engines.cluster_logs import log_until_closed, logging_until_closed


@pytest.fixture
def written(monkeypatch):
    """What the loggers `ours` and `ours.apart`, each with a handler of its own, and `theirs` write."""
    monkeypatch.setattr(logging.lastResort, "filters", [])
    stream = io.StringIO()
    for name in ("ours", "ours.apart", "theirs"):
        logger, handler = logging.getLogger(name), logging.StreamHandler(stream)
        handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
        monkeypatch.setattr(logger, "handlers", [handler])
        monkeypatch.setattr(logger, "propagate", False)
    return stream


def say(*names: str) -> None:
    for name in names:
        logging.getLogger(name).error("speaks")


def test_loggers_are_silent_once_the_cluster_is_closed(written):
    with logging_until_closed("ours", "ours.apart") as logs:
        assert logs.is_open()
        say("ours", "ours.comm", "ours.apart")
        logs.close()
        assert not logs.is_open()
        say("ours", "ours.comm", "ours.apart", "theirs")
    assert not logs.path.exists()
    assert written.getvalue().splitlines() == ["ours speaks", "ours.comm speaks", "ours.apart speaks", "theirs speaks"]


def test_afterwards_loggers_speak_again(written):
    with logging_until_closed("ours"), pytest.raises(ZeroDivisionError), logging_until_closed("ours"):
        _ = 1 / 0
    say("ours")
    assert written.getvalue() == "ours speaks\n"
    assert not any(handler.filters for handler in [*logging.getLogger("ours").handlers, logging.lastResort])


def test_a_logger_of_a_similar_name_is_another_one(written):
    with logging_until_closed("our") as logs:
        logs.close()
        say("ours")
    assert written.getvalue() == "ours speaks\n"


def test_handlers_of_loggers_above_are_found(written):
    with logging_until_closed("ours.below") as logs:
        logs.close()
        say("ours.below", "ours")
    assert written.getvalue() == "ours speaks\n"


WORKER = """
import logging, os, sys
from pathlib import Path
from flows.engines.cluster_logs import ClusterLogs, log_until_closed

log_until_closed(ClusterLogs(Path(sys.argv[1])), "ours")
print("ready", flush=True)
for line in sys.stdin:
    logging.getLogger("ours").error(line.strip())  # there is no handler but that of last resort
    print("said", flush=True)
"""


def test_worker_processes_are_silent_at_the_same_moment():
    with logging_until_closed("ours") as logs:
        command = [sys.executable, "-c", WORKER, str(logs.path)]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        with subprocess.Popen(command, **pipes, text=True, bufsize=1) as worker:
            assert worker.stdout.readline() == "ready\n"
            worker.stdin.write("at work\n")
            assert worker.stdout.readline() == "said\n"
            logs.close()
            _, errors = worker.communicate("after the end\n")
    assert errors == "at work\n"


def test_a_worker_is_silent_when_its_parent_has_ended(monkeypatch, written):
    with logging_until_closed() as logs:
        log_until_closed(logs, "ours")
        say("ours")
        monkeypatch.setattr(os, "getppid", lambda: 1)
        say("ours")
    assert written.getvalue() == "ours speaks\n"
