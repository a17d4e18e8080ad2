"""Signs of life in a run's staging: a shard's process counts up a file there, for whoever waits for the shard to see.

Prefect's own heartbeats come every 30 s at most and need an automation to be listened to; and where a worker is gone there is
nobody left to stop a process that works on. What both sides can reach in any case is the store.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from emberharmony.pipeline.run import RunRef

BEAT_S = 1.0


@contextmanager
def giving_signs(ref: RunRef, name: str) -> Iterator[threading.Event]:
    """Give signs of life for the length of the block; yields what is set when nobody waits for this shard any more."""
    unwanted, over = threading.Event(), threading.Event()
    if _mark(ref, name).exists():
        unwanted.set()
    thread = threading.Thread(target=_beat, args=(ref, name, unwanted, over), daemon=True)
    thread.start()
    try:
        yield unwanted
    finally:
        over.set()
        thread.join(BEAT_S)  # it may hang, writing to a share that does


def expect_signs(ref: RunRef) -> None:
    """Make the folder of the signs; shards themselves make none, which one of a published run could only leave behind."""
    _folder(ref).mkdir(exist_ok=True)


def last_sign(ref: RunRef, name: str) -> str | None:
    """What a shard's file says now: other than before is a sign of life."""
    with suppress(OSError):  # it has given none yet; or the share is away, and whoever writes there does not see it either
        return (_folder(ref) / name).read_text()
    return None


def mark_unwanted(ref: RunRef, name: str) -> None:
    """Have a shard stop after the chunks that it has in hand, should it live."""
    with suppress(OSError):
        _mark(ref, name).touch()


def _beat(ref: RunRef, name: str, unwanted: threading.Event, over: threading.Event) -> None:
    for number in count():
        with suppress(OSError):  # a share may be away for a while
            (_folder(ref) / name).write_text(str(number))
            if _mark(ref, name).exists():
                unwanted.set()
        if over.wait(BEAT_S):
            return


def _folder(ref: RunRef) -> Path:
    return Path(ref.staging) / "signs"


def _mark(ref: RunRef, name: str) -> Path:
    return _folder(ref) / f"{name}.unwanted"
