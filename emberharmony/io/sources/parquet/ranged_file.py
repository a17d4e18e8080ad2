"""A file that a server holds, read by ranges: few requests, several at the same time, in bounded memory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from emberharmony.io.placed_file import PlacedFile
from emberharmony.io.sources.parquet.decoding import READ_BUFFER_BYTES
from emberharmony.io.sources.parquet.files import ByteRange
from emberharmony.threads import in_parallel

PARALLEL_READS = 8
"""Requests at the same time. Measured in docs/design.md: further ones gain little, and other workers have theirs."""
READ_AHEAD_BYTES = 64 * 2**20
"""Most bytes of a file that are held before they are decoded."""
GAP_BYTES = 2**18
"""Ranges that are no farther apart are read by one request."""
PART_BYTES = 4 * 2**20
"""Larger ranges are read by several requests at the same time."""
MOST_BYTES = READ_AHEAD_BYTES + PARALLEL_READS * PART_BYTES
"""Most bytes in memory for a file: what is held, and the answers that are being copied there."""

Content = bytes | memoryview
Fetch = Callable[[ByteRange], Content]


class _Held(NamedTuple):
    range: ByteRange
    content: memoryview


class RangedFile(PlacedFile):
    """Bytes that are fetched when needed: the ranges that are known to be needed at once, if they are not too long.

    Ranges that are too long together are read piece by piece, each in a window of its own: columns are decoded side by side.

    Parameters
    ----------
    fetch : callable
        Returns the bytes of a range.
    n_bytes : int
        Size of the file.
    needed : sequence of ByteRange
        What will be read.

    Examples
    --------
    >>> content = b"PAR1 some columns PAR1"
    >>> file = RangedFile(lambda r: content[r.start : r.stop], len(content), [ByteRange(5, 17)])
    >>> file.seek(5), bytes(file.read(4))
    (5, b'some')
    """

    def __init__(self, fetch: Fetch, n_bytes: int, needed: Sequence[ByteRange] = ()) -> None:
        super().__init__(n_bytes)
        self._fetch = fetch
        merged = list(coalesced(needed))
        self._is_whole = sum(part.n_bytes for part in merged) <= READ_AHEAD_BYTES
        self._ranges = merged if self._is_whole else sorted(needed)
        self._held = dict(enumerate(self._fetched(merged))) if self._is_whole else {}

    def read(self, size: int | None = -1, /) -> Any:
        """Return the next bytes, as many as asked for if the file has them."""
        return self._next(self._n_bytes if size is None or size < 0 else size)

    def _next(self, most: int) -> Content:
        wanted = ByteRange(self._place, min(self._n_bytes, self._place + most))
        if wanted.n_bytes <= 0:
            return b""
        held = self._holding(wanted)
        self._place = wanted.stop
        return held.content[wanted.start - held.range.start : wanted.stop - held.range.start]

    def close(self) -> None:
        """Let go of what is held."""
        self._held = {}
        super().close()

    def _holding(self, wanted: ByteRange) -> _Held:
        number = bisect_right(self._ranges, wanted.start, key=lambda part: part.start) - 1
        held = self._held.get(number)
        if held is not None and held.range.start <= wanted.start and wanted.stop <= held.range.stop:
            return held
        if number < 0 or wanted.stop > self._ranges[number].stop or self._is_whole:  # nobody has announced it
            (held,) = self._fetched([wanted])
            return held
        self._held.pop(number, None)  # before the next one is fetched, not after it
        window = max(READ_BUFFER_BYTES, READ_AHEAD_BYTES // len(self._ranges), wanted.n_bytes)
        (held,) = self._fetched([ByteRange(wanted.start, min(self._ranges[number].stop, wanted.start + window))])
        self._held[number] = held
        return held

    def _fetched(self, ranges: Sequence[ByteRange]) -> list[_Held]:
        """Return the content of ranges; several requests wait for the server at the same time."""
        held = {whole: bytearray(whole.n_bytes) for whole in ranges if whole.n_bytes > PART_BYTES}
        parts = [(whole, part) for whole in ranges for part in _parts(whole)]

        def fetch(task: tuple[ByteRange, ByteRange]) -> Content:
            whole, part = task
            content = self._fetch(part)
            if whole not in held:
                return content
            # Into its place at once: kept until all are there and then joined, they would take twice the memory.
            held[whole][part.start - whole.start : part.stop - whole.start] = content
            return b""

        single = {}
        for (whole, _), content in zip(parts, in_parallel(fetch, parts, min(PARALLEL_READS, len(parts))), strict=True):
            single[whole] = content
        return [_Held(whole, memoryview(held.get(whole, single.get(whole, b"")))) for whole in ranges]


def coalesced(ranges: Iterable[ByteRange]) -> Iterator[ByteRange]:
    """Yield ranges that cover others, in order: those that are near each other become one.

    Examples
    --------
    >>> list(coalesced([ByteRange(900_000, 900_100), ByteRange(0, 10), ByteRange(20, 30)]))
    [ByteRange(start=0, stop=30), ByteRange(start=900000, stop=900100)]
    """
    whole: ByteRange | None = None
    for part in sorted(ranges):
        if whole is not None and part.start - whole.stop <= GAP_BYTES:
            whole = ByteRange(whole.start, max(whole.stop, part.stop))
            continue
        if whole is not None:
            yield whole
        whole = part
    if whole is not None:
        yield whole


def _parts(whole: ByteRange) -> Iterator[ByteRange]:
    for start in range(whole.start, whole.stop, PART_BYTES):
        yield ByteRange(start, min(whole.stop, start + PART_BYTES))
