"""Small files that a process has written lately, and so need not be fetched from a bucket to be read."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Self

RECENT_BYTES: Final = 4 * 2**20
"""Bytes of all of them, at most; the memory plan counts them."""
LARGEST_BYTES: Final = 2**18
"""Larger files are not held: few would fit, and most of the time to fetch one is its transfer, not the wait for an answer."""


class RecentFiles:
    """The contents of the newest small files, by key. They belong to one process: a copy begins without any.

    Parameters
    ----------
    most_bytes, largest_bytes : int
        Bytes of all contents, and of a single one, at most.

    Examples
    --------
    >>> recent = RecentFiles(most_bytes=4)
    >>> for name in ("a", "b", "c"):
    ...     recent.add(name, b"xy")
    >>> recent.find("a"), recent.find("c")
    (None, b'xy')
    """

    def __init__(self, most_bytes: int = RECENT_BYTES, largest_bytes: int = LARGEST_BYTES) -> None:
        self._most, self._largest, self._held = most_bytes, largest_bytes, 0
        self._contents, self._alone = dict[str, bytes](), threading.Lock()

    def add(self, key: str, content: bytes | memoryview) -> None:
        """Hold the content of a file, unless it is large, in place of the oldest ones."""
        with self._alone:
            self._held -= len(self._contents.pop(key, b""))
            if len(content) > self._largest:
                return
            self._contents[key] = bytes(content)
            self._held += len(content)
            while self._held > self._most:
                self._held -= len(self._contents.pop(next(iter(self._contents))))

    def find(self, key: str) -> bytes | None:
        """Return the content of a file, if it is held."""
        return self._contents.get(key)

    def drop(self, key: str) -> None:
        """Forget the content of a file."""
        with self._alone:
            self._held -= len(self._contents.pop(key, b""))

    def clear(self) -> None:
        """Forget all contents."""
        with self._alone:
            self._contents.clear()
            self._held = 0

    def __reduce__(self) -> tuple[Callable[[int, int], Self], tuple[int, int]]:
        """Copy, or send to another process, without contents."""
        return type(self), (self._most, self._largest)
