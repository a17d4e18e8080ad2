"""A lock of a result: one holder at a time, who is named, and none after the holder's death."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from platform import node

import pytest

from emberharmony.errors import TerminalError
from emberharmony.io.store.lock import locked

HOLD = """
import sys
from pathlib import Path
from emberharmony.io.store.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "result" / ".staging" / "lock"


@pytest.fixture
def holder(path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_message_names_the_holder(path, holder):
    told = f"Another run is at work on {path.parent.parent}: process {holder.pid} on {node()}, since 2"
    with pytest.raises(TerminalError, match=re.escape(told)), locked(path):
        pytest.fail("two processes hold the lock")


def test_a_killed_holder_holds_nothing(path, holder):
    holder.kill()
    holder.wait()
    with locked(path):
        assert str(os.getpid()) in path.read_text()


def test_nothing_is_left_behind(path):
    with locked(path):
        assert path.exists()
    assert not path.parent.exists()
    assert path.parent.parent.exists()


def test_the_lock_ends_with_an_error_inside(path):
    with pytest.raises(ZeroDivisionError), locked(path):
        _ = 1 / 0
    with locked(path):
        pass


def test_files_beside_the_lock_stay(path):
    path.parent.mkdir(parents=True)
    (path.parent / "of others").touch()
    with locked(path):
        pass
    assert [file.name for file in path.parent.iterdir()] == ["of others"]


def test_a_holder_that_has_not_yet_written_its_name(path):
    import fcntl

    path.parent.mkdir(parents=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(TerminalError, match="a process that has just begun"), locked(path):
            pytest.fail("two processes hold the lock")
