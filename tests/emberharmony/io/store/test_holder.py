"""What a lock file says of its holder."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from emberharmony.io.store.holder import Holder
from emberharmony.io.store.lock import locked


def since(seconds: float = 0.0) -> str:
    return f"{datetime.now(UTC) + timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S} UTC"


def lock(**fields) -> bytes:
    return json.dumps({"process": os.getpid(), "host": platform.node(), "since": since()} | fields).encode()


def test_the_holder_of_a_real_lock_is_this_process(tmp_path):
    with locked(tmp_path / "lock"):
        holder = Holder.of_lock((tmp_path / "lock").read_bytes())
    assert (holder.process, holder.host, holder.is_alive, holder.silent_s) == (os.getpid(), platform.node(), True, None)
    assert str(holder) == f"process {os.getpid()} on {platform.node()}, since {holder.since}"


def test_a_process_that_has_ended_is_dead():
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True)
    assert Holder.of_lock(lock(process=int(ended.stdout))).is_alive is False


def test_a_later_process_of_the_same_number_is_another():
    age = datetime.now(UTC).timestamp() - psutil.Process().create_time()
    assert Holder.of_lock(lock(since=since(-age - 60))).is_alive is False
    assert Holder.of_lock(lock(since="sometime")).is_alive is True, "as far as can be told"


def test_of_another_host_nothing_is_known():
    assert Holder.of_lock(lock(host="elsewhere")).is_alive is None


@pytest.mark.parametrize("content", [b"", b"[]", b"not JSON", b"{}"])
def test_a_lock_that_says_nothing_is_of_a_run_that_has_just_begun(content):
    assert Holder.of_lock(content) == Holder(None, "", "", None)
    assert str(Holder.of_lock(content)) == "a process that has just begun"
