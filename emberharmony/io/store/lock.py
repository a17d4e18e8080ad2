"""A lock that dies with the process that holds it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from platform import node
from typing import IO

from emberharmony.errors import TerminalError
from emberharmony.io.store.access import make_folder, private
from emberharmony.io.store.errors import translated


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file at `path` for the length of the block.

    The system holds it for the process, so that even one that was killed leaves nothing to clear away.

    Raises
    ------
    TerminalError
        If another process holds it (the message names the process), or the file system does not support locks.
    """
    with translated(path):
        handle = _take(path)
    try:
        yield
    finally:
        # On a share that went away each of these may fail. The work is done all the same, and the lock ends with the handle.
        with suppress(OSError):
            path.unlink(missing_ok=True)  # before the release: a process that waits for this file finds that it is gone
        with suppress(OSError):
            handle.close()
        with suppress(OSError):
            path.parent.rmdir()  # if nothing else is in it


def _take(path: Path) -> IO[str]:
    while True:
        make_folder(path.parent)
        handle = open(path, "a+", encoding="utf-8", opener=private)  # noqa: SIM115 - it stays open while the lock is held
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read()
            handle.close()
            raise TerminalError(
                f"Another run is at work on {path.parent.parent}: {_named(holder)}. Wait for it, or stop it."
            ) from None
        if path.exists() and os.fstat(handle.fileno()).st_ino == path.stat().st_ino:
            handle.truncate(0)
            json.dump({"process": os.getpid(), "host": node(), "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"}, handle)
            handle.flush()
            return handle
        handle.close()  # it was removed by the run that held it, between our opening and our locking it


def _named(holder: str) -> str:
    try:
        known = json.loads(holder)
    except ValueError:
        return "a process that has just begun"
    return f"process {known['process']} on {known['host']}, since {known['since']}"
