"""A read-only file of known size that keeps its place: what readers by ranges have in common."""

from __future__ import annotations

import io
from typing import Any


class PlacedFile(io.RawIOBase):
    """A file in which reading goes on where it stopped; subclasses read.

    Parameters
    ----------
    n_bytes : int
        Size of the file.
    """

    def __init__(self, n_bytes: int) -> None:
        super().__init__()
        self._n_bytes, self._place = n_bytes, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a place; returns it."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._n_bytes}[whence]
        self._place = max(0, start + offset)
        return self._place

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer with the next bytes; returns how many."""
        into = memoryview(buffer).cast("B")
        content = self._next(len(into))
        into[: len(content)] = content
        return len(content)

    def _next(self, most: int) -> bytes | memoryview:
        """Return the next bytes, at most so many, and go on behind them."""
        raise NotImplementedError
