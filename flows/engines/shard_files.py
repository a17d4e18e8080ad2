"""Files in a run's staging through which a shard and the run that waits for it report to each other.

The shard sends a heartbeat, and leaves its error as data; the run marks a shard that it has given up. Prefect's own heartbeats
come every 30 s at most and need an automation to be listened to, and a shard whose worker is gone is not stopped by Prefect.
Both sides can always reach the store.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from emberharmony.errors import EmberharmonyError, from_json, to_json
from emberharmony.pipeline.run import RunRef

HEARTBEAT_S = 1.0


@contextmanager
def sending_heartbeats(ref: RunRef, shard: str) -> Iterator[threading.Event]:
    """Send heartbeats for the length of the block; yields an event that is set when the run has given this shard up."""
    given_up, over = threading.Event(), threading.Event()
    if _mark(ref, shard).exists():
        given_up.set()
    thread = threading.Thread(target=_send, args=(ref, shard, given_up, over), daemon=True)
    thread.start()
    try:
        yield given_up
    finally:
        over.set()
        thread.join(HEARTBEAT_S)  # it may hang, if the share that it writes to does


@contextmanager
def leaving_errors(ref: RunRef, shard: str) -> Iterator[None]:
    """Leave the error with which the block ends, for the run to read."""
    try:
        yield
    except Exception as error:
        with suppress(OSError):  # the run then knows no more than that the shard failed
            (_folder(ref) / f"{shard}.error.json").write_text(json.dumps(to_json(error), default=str))
        raise


def prepare(ref: RunRef) -> None:
    """Make the folder of these files. Shards do not make it: a late one would leave it behind in a published run."""
    _folder(ref).mkdir(exist_ok=True)


def last_heartbeat(ref: RunRef, shard: str) -> str | None:
    """Return the last heartbeat of a shard; a shard that lives changes it."""
    with suppress(OSError):  # there is none yet, or the share is away, and so it is for the shard
        return (_folder(ref) / shard).read_text()
    return None


def error_of(ref: RunRef, shard: str) -> EmberharmonyError | None:
    """Return the error that a shard has left; ``None`` if it left none, or none that can be read."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return from_json(json.loads((_folder(ref) / f"{shard}.error.json").read_text()))
    return None


def give_up(ref: RunRef, shard: str) -> None:
    """Have a shard, if it lives, stop after the chunks that it is working on."""
    with suppress(OSError):
        _mark(ref, shard).touch()


def _send(ref: RunRef, shard: str, given_up: threading.Event, over: threading.Event) -> None:
    for number in count():
        with suppress(OSError):  # a share may be away for a while
            (_folder(ref) / shard).write_text(str(number))
            if _mark(ref, shard).exists():
                given_up.set()
        if over.wait(HEARTBEAT_S):
            return


def _folder(ref: RunRef) -> Path:
    return Path(ref.staging) / "shards"


def _mark(ref: RunRef, shard: str) -> Path:
    return _folder(ref) / f"{shard}.given-up"
