"""A lease: the right of one run at a time to publish at a place, for hosts that share a bucket and no locks.

The holder renews it while it works. Another run watches the lease for signs of life, by its own monotonic clock, before it
takes it over: the clocks of two hosts are never compared. A holder that was only paused finds out when it renews, or at the
latest when it commits, because a commit is conditional.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from platform import node
from typing import Any

from emberharmony.errors import TerminalError, TransientError
from emberharmony.io.store.address import without_query
from emberharmony.io.store.base import ETag, Store
from emberharmony.io.store.holder import Holder

LEASE = ".lease.json"
RENEW_S = 10.0
"""Seconds between renewals; Google Cloud Storage accepts one write a second to an object."""
EXPIRE_S = 45.0
"""Seconds without a renewal after which a lease may be taken over."""
_WATCH_S = 2.0

_held_here: set[str] = set()
"""Tokens of the leases that this process holds."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timing:
    """How often a lease is renewed, and when it may be taken over; a simulation sets the clock."""

    renew_s: float = RENEW_S
    expire_s: float = EXPIRE_S
    watch_s: float = _WATCH_S
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep


@dataclass
class Lease:
    """A lease that this process holds, in one store."""

    store: Store
    timing: Timing
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    since: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")
    etag: ETag | None = None
    renewals: int = 0

    def take(self) -> None:
        """Take the lease when nobody holds it, or its holder gives no sign of life.

        Raises
        ------
        TerminalError
            If another run holds it and works; the message says which.
        """
        seen, since, is_told = None, self.timing.clock(), False
        while True:
            found = self.store.read_with_etag(LEASE)
            if found is None:
                if self.store.put_if_absent(LEASE, self._content()):
                    found = self.store.read_with_etag(LEASE)
                    self.etag = found[1] if found is not None and self._is_own(found[0]) else None
                    if self.etag is not None:
                        return
                continue
            content, etag = found
            holder = _parsed(content)
            if seen is not None and etag != seen and holder:
                raise TerminalError(
                    f"Another run is at work on {without_query(self.store.address)}: {_named(holder)}. Wait for it, or stop "
                    f"it."
                )
            if seen != etag:
                seen, since = etag, self.timing.clock()
            if not holder or _is_dead(holder) or self.timing.clock() - since >= self.timing.expire_s:
                self.etag = self.store.replace_if_unchanged(LEASE, self._content(), etag)
                if self.etag is not None:
                    return
                seen = None
                continue
            if not is_told:
                _log.warning(
                    "%s is held by %s. If it gives no sign of life for %.0f s, this run goes on in its place.",
                    without_query(self.store.address),
                    _named(holder),
                    self.timing.expire_s,
                )
                is_told = True
            self.timing.sleep(self.timing.watch_s)

    def renew(self) -> bool:
        """Show that the holder is alive; returns whether it still holds the lease."""
        if self.etag is None:
            return False
        self.renewals += 1
        self.etag = self.store.replace_if_unchanged(LEASE, self._content(), self.etag)
        return self.etag is not None

    def release(self) -> None:
        """Let the next run take the lease at once."""
        if self.etag is not None:
            self.store.replace_if_unchanged(LEASE, b"{}\n", self.etag)
            self.etag = None

    def _content(self) -> bytes:
        holder = {
            "token": self.token,
            "process": os.getpid(),
            "host": node(),
            "machine": _machine(),
            "since": self.since,
            "renewals": self.renewals,
        }
        return json.dumps(holder).encode()

    def _is_own(self, content: bytes) -> bool:
        return bool(_parsed(content).get("token") == self.token)


@contextmanager
def leased(store: Store, timing: Timing | None = None) -> Iterator[Lease]:
    """Hold the lease of a place for the length of the block, and renew it meanwhile.

    Raises
    ------
    TerminalError
        If another run holds it and works.
    """
    lease = Lease(store, timing or Timing())
    lease.take()
    _held_here.add(lease.token)
    end = _renewed_in_background(lease)
    try:
        yield lease
    finally:
        end()
        _held_here.discard(lease.token)
        try:
            lease.release()
        except (TransientError, TerminalError) as error:  # it expires by itself
            _log.warning("The lease could not be given back; it expires in %.0f s. %s", lease.timing.expire_s, error)


def _renewed_in_background(lease: Lease) -> Callable[[], None]:
    """Renew a lease in a thread until the returned function is called."""
    ended = threading.Event()
    thread = threading.Thread(target=keep_renewing, args=(lease, ended.wait), name="lease", daemon=True)
    thread.start()

    def end() -> None:
        ended.set()
        thread.join()

    return end


def keep_renewing(lease: Lease, wait: Callable[[float], bool]) -> None:
    """Renew a lease until it is lost, or `wait`, which is given the seconds, returns True."""
    while not wait(lease.timing.renew_s):
        try:
            if not lease.renew():
                _log.error("Another run has taken over %s. This run will not publish.", without_query(lease.store.address))
                return
        except TransientError as error:
            _log.warning("The lease could not be renewed. %s", error)
        except TerminalError:
            _log.exception("The lease cannot be renewed.")
            return


def check_held(store: Store, token: str) -> None:
    """Raise unless the lease with this token is held still.

    Raises
    ------
    TerminalError
        If another run has taken it over; the message says which.
    """
    found = store.read_with_etag(LEASE)
    holder = _parsed(found[0]) if found is not None else {}
    if holder.get("token") != token:
        raise TerminalError(
            f"This run gave no sign of life for too long, and {_named(holder) if holder else 'another run'} has taken over "
            f"{without_query(store.address)}. Nothing was published by this run."
        )


def holder_of(store: Store, renewed: float | None, *, expire_s: float = EXPIRE_S) -> Holder | None:
    """Return who holds the lease of a place that was renewed at that time, or held it when killed; it is only read.

    A holder counts as alive until another run may take its place. That compares the clocks of this host and the store, which
    a run never does.
    """
    found = store.read_with_etag(LEASE)
    holder = _parsed(found[0]) if found is not None else {}
    if not holder:
        return None
    silent_s = None if renewed is None else max(time.time() - renewed, 0.0)
    is_late = silent_s is not None and silent_s >= expire_s
    process, host, since = holder.get("process"), str(holder.get("host")), str(holder.get("since"))
    return Holder(process, host, since, not is_late and not _is_dead(holder), silent_s)


def _parsed(content: bytes) -> dict[str, Any]:
    """The holder that a lease names; empty if it was given back, or is damaged."""
    try:
        holder = json.loads(content)
        return holder if isinstance(holder, dict) and "token" in holder else {}
    except ValueError:
        return {}


def _is_dead(holder: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that has ended, or this one, which could not give the lease back."""
    if not _machine() or holder.get("machine") != _machine() or not isinstance(holder.get("process"), int):
        return False
    if holder["process"] == os.getpid():
        return holder["token"] not in _held_here
    try:
        os.kill(holder["process"], 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


@cache
def _machine() -> str:
    """Names this boot of this machine and what process numbers mean here; empty if the system does not tell.

    Host names do not: two containers may share one.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _named(holder: dict[str, Any]) -> str:
    return f"process {holder.get('process')} on {holder.get('host')}, since {holder.get('since')}"
