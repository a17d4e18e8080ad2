"""Random 64-bit words that depend only on a seed and a position: Philox 4x64-10, on the host.

J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import operator
import secrets
import threading
from typing import Any

import numpy as np

_BLOCK = 4096
_WORDS = 4  # 64-bit words per counter step of Philox

Words = np.ndarray[Any, np.dtype[np.uint64]]


def run(seed: int, first: int, count: int) -> Words:
    """The words at positions ``first`` to ``first + count - 1``."""
    skipped = first % _WORDS
    generator = np.random.Philox(key=seed).advance(first // _WORDS)
    words: Words = generator.random_raw(skipped + count)[skipped:]
    return words


def words_at(places: np.ndarray[Any, Any], seed: int) -> Words:
    """The words at any positions, in any order."""
    if places.dtype.kind not in "iu":
        raise TypeError(f"Row numbers must be integers, got {places.dtype}.")
    if places.size == 0:
        return np.empty(places.shape, np.uint64)
    first, last = int(places.min()), int(places.max())
    if first < 0:
        raise ValueError(f"Row numbers start at 0, got {first}.")
    span = last - first + 1
    if span == places.size and places.ndim == 1 and places[0] == first and bool((places[1:] - places[:-1] == 1).all()):
        return run(seed, first, span)
    if span <= 2 * places.size + _BLOCK:
        words: Words = run(seed, first, span)[places - first]
        return words
    # Scattered positions: generate one range per block, from the first to the last position in it.
    flat = places.reshape(-1)
    order = np.argsort(flat, kind="stable")
    ordered = flat[order]
    blocks = ordered // _BLOCK
    starts = np.flatnonzero(np.r_[True, blocks[1:] != blocks[:-1]])
    scattered = np.empty(flat.size, np.uint64)
    for start, stop in zip(starts, np.r_[starts[1:], flat.size], strict=True):
        low, high = int(ordered[start]), int(ordered[stop - 1])
        scattered[order[start:stop]] = run(seed, low, high - low + 1)[ordered[start:stop] - low]
    return scattered.reshape(places.shape)


class Stream:
    """A seed and the number of words already taken from it; safe to share between threads."""

    def __init__(self, seed: int | None = None) -> None:
        self._lock = threading.Lock()
        self.seed(seed)

    def seed(self, seed: int | None = None) -> None:
        """Restart from a seed, by default one from the operating system's entropy."""
        if seed is not None and not 0 <= operator.index(seed) < 2**128:
            raise ValueError(f"A seed must be an integer from 0 to 2**128 - 1, got {seed}.")
        with self._lock:
            self._seed = secrets.randbits(128) if seed is None else int(seed)
            self._position = 0

    def words(self, count: int) -> Words:
        """The next words of the stream."""
        with self._lock:
            key, first = self._seed, self._position
            self._position += count
        return run(key, first, count)


default_stream = Stream()
