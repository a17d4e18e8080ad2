"""A file for each shard, in the store of its run, through which the shard and the run report to each other.

The run makes the file. The shard replaces it with heartbeats, and at the end with its error, as data; the run replaces it to
withdraw the shard. Each replacement is conditional on what it replaces, so a late shard neither brings back a file of a run
that is over, nor takes back a withdrawal.

Prefect's own heartbeats come every 30 s at most and need an automation to be listened to, and a shard whose worker is gone is
not stopped by Prefect. Both sides can always reach the store.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

from emberharmony.errors import EmberharmonyError, TerminalError, TransientError, from_json, to_json
from emberharmony.io.store.base import Store
from emberharmony.io.store.opening import open_staged
from emberharmony.pipeline.run import RunRef

MISSED_HEARTBEATS = 3
"""A shard is not taken for silent before it has missed so many heartbeats."""

_WITHDRAWN = b'{"withdrawn": true}'


# ---- the run's side ------------------------------------------------------------------------------------------------------


def request(store: Store, shard: str) -> None:
    """Make the file of a shard, before the shard is started."""
    store.put_if_absent(_name(shard), _as_bytes({"heartbeat": 0}))


def withdraw(store: Store, shard: str) -> None:
    """Have a shard, if it lives, stop after the chunks that it is working on."""
    with suppress(EmberharmonyError):  # it then goes on; its work is done twice, and counts once
        while (found := store.read_with_etag(_name(shard))) is not None and found[0] != _WITHDRAWN:
            store.replace_if_unchanged(_name(shard), _WITHDRAWN, found[1])


def error_of(store: Store, shard: str) -> EmberharmonyError | None:
    """Return the error that a shard has left; ``None`` if it left none, or none that can be read."""
    with suppress(EmberharmonyError, ValueError, KeyError, TypeError):
        return from_json(store.read_json(_name(shard))["error"])
    return None


class HeartbeatWatch:
    """Watches the heartbeats of a shard for the run that waits for it.

    What counts is whether a heartbeat differs from the one before, and the time in between by the observer's clock. Clocks
    of two hosts are never compared.

    Parameters
    ----------
    store : Store
        The run's store. It is read no more often than shards write to it.
    shard : str
        The shard's identifier.
    """

    def __init__(self, store: Store, shard: str) -> None:
        self._store, self._name = store, _name(shard)
        self._latest, self._due = "", 0.0
        self._outages = count()

    def latest(self) -> str:
        """Return what stands for the last heartbeat. During an outage of the store it changes with every call."""
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + self._store.heartbeat_s
            try:
                found = self._store.read_with_etag(self._name)
                self._latest = found[1] if found else ""
            except TransientError:
                self._latest = f"outage {next(self._outages)}"
        return self._latest


# ---- the shard's side ----------------------------------------------------------------------------------------------------


@contextmanager
def reporting(ref: RunRef, shard: str) -> Iterator[threading.Event]:
    """Send heartbeats for the length of the block, and leave the error with which it ends for the run to read.

    Yields
    ------
    threading.Event
        Set when the run has withdrawn this shard, or is over.
    """
    store = open_staged(ref.staging)
    withdrawn, over = threading.Event(), threading.Event()
    _send_heartbeat(store, shard, 1, withdrawn)
    thread = threading.Thread(target=_keep_sending, args=(store, shard, withdrawn, over), daemon=True)
    thread.start()
    try:
        yield withdrawn
    except Exception as error:
        over.set()
        with suppress(EmberharmonyError):  # the run then knows no more than that the shard failed
            for _ in range(2):  # a last heartbeat may come in between
                _replace(store, shard, {"error": to_json(error)})
        raise
    finally:
        over.set()
        thread.join(1.0)  # it may hang, if the share that it writes to does


def _keep_sending(store: Store, shard: str, withdrawn: threading.Event, over: threading.Event) -> None:
    for number in count(2):
        if over.wait(store.heartbeat_s):
            return
        _send_heartbeat(store, shard, number, withdrawn)


def _send_heartbeat(store: Store, shard: str, number: int, withdrawn: threading.Event) -> None:
    with suppress(EmberharmonyError):  # the store may be away for a while; if it refuses, the shard's own work fails
        if not _replace(store, shard, {"heartbeat": number}):
            withdrawn.set()


def _replace(store: Store, shard: str, report: dict[str, Any]) -> bool:
    """Replace a shard's file, unless it holds the shard's error; returns whether the run still waits for the shard."""
    found = store.read_with_etag(_name(shard))
    if found is None:
        with suppress(TerminalError):  # the run was removed
            store.check_there()  # a share that has vanished may return: that is transient
    if found is None or found[0] == _WITHDRAWN:
        return False
    if "error" not in json.loads(found[0]):
        store.replace_if_unchanged(_name(shard), _as_bytes(report), found[1])
    return True


def _name(shard: str) -> str:
    return f"shards/{shard}.json"


def _as_bytes(report: dict[str, Any]) -> bytes:
    return json.dumps(report, default=str).encode()
