"""Worker processes of this host: what they answer, how much at a time, and what becomes of those that die."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from emberharmony.errors import DamagedError, TransientError
from emberharmony.io.store.local import LocalStore
from emberharmony.pipeline.events import current_worker
from tasks.processes import WorkerProcesses
from tests.faults.victims import wait_until


@pytest.fixture
def processes() -> Iterator[WorkerProcesses]:
    """Two processes, each of which does three calls at a time."""
    started = WorkerProcesses(2, 3)
    yield started
    started.close()


def test_an_error_of_a_worker_arrives_with_its_type_and_fields(processes, tmp_path):
    store = LocalStore(tmp_path)
    record = store.keep("part", b"content")
    store.path(record).unlink()
    with pytest.raises(DamagedError, match=r"part.* is missing or was changed") as raised:
        processes.call(store.check, record)
    assert raised.value.file == record.kept_as
    assert "in check" in str(raised.value.__cause__), "the traceback of the process"


class PickyError(Exception):
    """An error that cannot travel."""

    def __reduce__(self):
        raise TypeError("not this one")


def fail() -> None:
    raise PickyError("no luck")


def test_what_cannot_travel_is_an_error_and_the_process_goes_on(processes):
    with pytest.raises(RuntimeError, match="PickyError: no luck"):
        processes.call(fail)
    with pytest.raises((TypeError, AttributeError), match=r"pickle|local"):
        processes.call(lock)
    with pytest.raises((TypeError, AttributeError), match=r"pickle|local"):
        processes.call(len, threading.Lock())
    assert processes.call(len, "four") == 4


class StoppedError(Exception):
    """What a signal raises."""


def test_a_call_that_is_interrupted_leaves_its_answer_to_nobody(processes):
    def stop(*_: object) -> None:
        raise StoppedError

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        threading.Timer(0.5, signal.pthread_kill, [threading.get_ident(), signal.SIGUSR1]).start()
        with pytest.raises(StoppedError):
            processes.call(time.sleep, 600)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert [processes.call(len, "x" * n) for n in range(8)] == [*range(8)]


def lock() -> object:
    return threading.Lock()


_lock, _now = threading.Lock(), set[int]()


def at_once(folder: Path, n: int, expected: int) -> tuple[int, int, str]:
    """Return the process, the most calls at a time in it, and the worker's name; waits until `expected` calls have begun."""
    with _lock:
        _now.add(n)
        most = len(_now)
    (folder / f"{n}").touch()
    wait_until(lambda: len([*folder.iterdir()]) >= expected)
    with _lock:
        most = max(most, len(_now))
    time.sleep(0.05)
    with _lock:
        _now.remove(n)
    return os.getpid(), most, current_worker()


def test_calls_are_spread_evenly_and_no_process_has_more_than_it_should(processes, tmp_path):
    """Six of twenty calls are at work at a time, three in each process; a worker's name is that of its process."""
    with ThreadPoolExecutor(20) as pool:
        calls = [pool.submit(processes.call, at_once, tmp_path, n, 6) for n in range(20)]
        found = [call.result(timeout=300) for call in calls]
    assert len({pid for pid, _, _ in found}) == 2
    assert max(most for _, most, _ in found) == 3
    assert all(worker.endswith(f":{pid}") for pid, _, worker in found)


def test_the_second_of_two_calls_has_a_process_of_its_own(processes, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(processes.call, at_once, tmp_path, n, 2) for n in range(2)]
        assert len({call.result(timeout=300)[0] for call in calls}) == 2


def die_once(folder: Path, n: int) -> int:
    """End the process as soon as three calls are at work in it; the next one answers."""
    (folder / f"{n}").touch()
    if not (folder / "dead").exists():
        wait_until(lambda: len([*folder.iterdir()]) >= 3)
        (folder / "dead").touch()
        os._exit(9)
    return n


def test_every_call_of_a_process_that_dies_is_repeated(tmp_path):
    processes = WorkerProcesses(1, 3)
    try:
        with ThreadPoolExecutor(3) as pool:
            calls = [pool.submit(processes.call, die_once, tmp_path, n) for n in range(3)]
            assert [call.result(timeout=300) for call in calls] == [0, 1, 2]
        assert processes.call(len, "four") == 4
    finally:
        processes.close()


def fail_for_now() -> None:
    raise TransientError("away")


def test_processes_end_after_their_calls(tmp_path):
    processes = WorkerProcesses(1, 2)
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(TransientError, match="away"):
            processes.call(fail_for_now)
        call = pool.submit(processes.call, at_once, tmp_path, 0, 2)
        wait_until(lambda: [*tmp_path.iterdir()])
        closing = threading.Thread(target=processes.close)
        closing.start()
        assert not call.done()
        (tmp_path / "1").touch()
        pid = call.result(timeout=300)[0]
        closing.join(300)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
