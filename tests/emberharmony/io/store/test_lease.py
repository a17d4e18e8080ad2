"""The lease: one holder at a time, taken over only from a holder that gives no sign of life."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import threading
import time

import pytest

from emberharmony.errors import TerminalError, TransientError
from emberharmony.io.store import lease as module
from emberharmony.io.store.address import BucketAddress
from emberharmony.io.store.lease import LEASE, Lease, Timing, check_held, holder_of, leased
from emberharmony.io.store.object_store import ObjectStore
from tests.stores import MemoryObjects


class Clock:
    """A clock that only sleeping moves; `at` is called then."""

    def __init__(self):
        self.now = 0.0
        self.at = lambda: None

    def timing(self):
        return Timing(clock=lambda: self.now, sleep=self.sleep)

    def sleep(self, seconds):
        self.now += seconds
        self.at()


@pytest.fixture
def store():
    return ObjectStore(MemoryObjects(), BucketAddress("s3", "lake", "out"))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def other_machine(monkeypatch):
    """Leases that are taken meanwhile look as if another machine had taken them."""
    monkeypatch.setattr(module, "_machine", lambda: "")


def test_a_lease_that_was_given_back_is_taken_at_once(store, clock):
    for _ in range(2):
        with leased(store, clock.timing()) as lease:
            check_held(store, lease.token)
    assert clock.now == 0
    with pytest.raises(TerminalError, match="has taken over"):
        check_held(store, lease.token)


def test_a_holder_that_works_keeps_it_and_is_named(store, clock, other_machine):
    holder = Lease(store, clock.timing(), since="2026-11-28 01:02:03 UTC")
    holder.take()
    clock.at = lambda: clock.now % 10 == 0 and holder.renew()
    with pytest.raises(TerminalError, match=r"at work on s3://lake/out: process \d+ on .*, since 2026-11-28 01:02:03 UTC"):
        Lease(store, clock.timing()).take()
    assert clock.now == 10  # its first sign of life
    check_held(store, holder.token)


def test_a_holder_without_a_sign_of_life_loses_it(store, clock, other_machine):
    holder, next_ = Lease(store, clock.timing()), Lease(store, clock.timing())
    holder.take()
    next_.take()
    assert module.EXPIRE_S <= clock.now < module.EXPIRE_S + 5
    check_held(store, next_.token)
    assert not holder.renew()
    with pytest.raises(TerminalError, match="gave no sign of life for too long, and process"):
        check_held(store, holder.token)
    holder.release()  # of nothing: the next holder keeps it
    check_held(store, next_.token)


def test_of_two_that_wait_one_gets_it(store, clock, other_machine):
    dead, first, second = (Lease(store, clock.timing()) for _ in range(3))
    dead.take()
    clock.at = lambda: clock.now == 30 and first.take()
    with pytest.raises(TerminalError, match="Another run is at work"):
        second.take()
    check_held(store, first.token)


def test_a_process_of_this_machine_that_has_ended_is_not_waited_for(store, clock):
    code = "import os, sys, json; from emberharmony.io.store import lease; print(json.dumps([os.getpid(), lease._machine()]))"
    process, machine = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert machine == module._machine()
    store.put(LEASE, json.dumps({"token": "x", "process": process, "machine": machine, "host": "h", "since": "s"}).encode())
    Lease(store, clock.timing()).take()
    assert clock.now == 0


def test_a_lease_that_this_process_could_not_give_back_is_taken_at_once(store, clock):
    put = store.objects.put

    def away(key, content, *, only_if=None):
        raise TransientError("away")

    with leased(store, clock.timing()):
        store.objects.put = away
    store.objects.put = put
    with leased(store, clock.timing()) as lease:
        check_held(store, lease.token)
        assert clock.now == 0
        clock.at = lambda: clock.now > 10 and lease.renew()
        with pytest.raises(TerminalError, match="Another run is at work"):
            Lease(store, clock.timing()).take()


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"not json"])
def test_a_damaged_lease_is_taken(store, clock, content):
    store.put(LEASE, content)
    Lease(store, clock.timing()).take()
    assert clock.now == 0


def test_the_lease_is_renewed_while_the_block_works(store):
    renewed = threading.Event()
    put = store.objects.put

    def watched(key, content, *, only_if=None):
        revision = put(key, content, only_if=only_if)
        if json.loads(content).get("renewals", 0) >= 2:
            renewed.set()
        return revision

    store.objects.put = watched
    with leased(store, Timing(renew_s=0.005)) as lease:
        assert renewed.wait(120)
        check_held(store, lease.token)


def test_a_store_that_is_away_for_a_while_does_not_end_the_lease(store):
    renewed, failures = threading.Event(), iter([True] * 3)
    put = store.objects.put

    def at_times(key, content, *, only_if=None):
        if only_if and next(failures, False):
            raise TransientError("away")
        revision = put(key, content, only_if=only_if)
        if json.loads(content).get("renewals", 0):
            renewed.set()
        return revision

    with leased(store, Timing(renew_s=0.005)) as lease:
        store.objects.put = at_times
        assert renewed.wait(120)
        check_held(store, lease.token)


def test_who_holds_it_is_told_and_nothing_is_written(store):
    """A holder that gave no sign of life for so long that another run may go on counts as dead."""
    assert holder_of(store, 0.0) is None
    with leased(store) as lease:
        written = store.read_with_etag(LEASE)
        now = time.time()
        held = holder_of(store, now)
        assert (held.process, held.host, held.since, held.is_alive) == (os.getpid(), platform.node(), lease.since, True)
        assert 0 <= held.silent_s < 30
        assert holder_of(store, None).silent_s is None
        late = holder_of(store, now - 100, expire_s=45)
        assert late.is_alive is False
        assert 100 <= late.silent_s < 130
        assert holder_of(store, now + 3_600).silent_s == 0, "the clock of the store is ahead"
        assert store.read_with_etag(LEASE) == written
    assert holder_of(store, now) is None, "it was given back"


def test_a_holder_that_has_ended_on_this_machine_is_dead_at_once(store):
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True)
    lease = Lease(store, Timing())
    lease.take()
    content = json.loads(store.get(LEASE)) | {"process": int(ended.stdout)}
    store.put(LEASE, json.dumps(content).encode())
    assert holder_of(store, time.time()).is_alive is (not module._machine())
