"""Counts of rows by key, in bounded memory however many keys there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from emberharmony.typing import IntArray

MAX_RANGES = 2**18
"""Ranges that are counted apart: 4 MiB."""


@dataclass(frozen=True)
class KeyCounts:
    """Numbers of rows in ranges of keys, each ``2**shift`` keys wide: single keys, until there are too many.

    Counts can be merged in any order: the result is the same.

    Examples
    --------
    >>> counts = KeyCounts.of(np.array([7, -1, 7])).merge(KeyCounts.of(np.array([8])))
    >>> list(counts.ranges())
    [(-1, 0, 1), (7, 8, 2), (8, 9, 1)]
    >>> list(KeyCounts.of(np.array([0, 1, 6]), most=2).ranges())
    [(0, 2, 2), (6, 8, 1)]
    """

    keys: IntArray  # ascending: keys without their last `shift` bits
    counts: IntArray
    shift: int = 0
    most: int = MAX_RANGES

    def __post_init__(self) -> None:
        """Refuse a single range: however wide, the negative keys are in one and the others in another."""
        if self.most < 2:
            raise ValueError(f"Keys are counted in two ranges or more, got most={self.most}.")

    @classmethod
    def of(cls, keys: IntArray, *, most: int = MAX_RANGES) -> Self:
        """Count the rows of each key; in wider ranges if there are more than `most` keys."""
        found, counts = np.unique(keys, return_counts=True)
        return cls(found, counts.astype(np.int64), 0, most)._within_bounds()

    @property
    def is_exact(self) -> bool:
        """Whether every key is counted on its own."""
        return self.shift == 0

    def merge(self, other: Self) -> Self:
        """Return the counts of both."""
        shift = max(self.shift, other.shift)
        fewer, more = sorted([self._of_width(shift), other._of_width(shift)], key=lambda part: len(part.keys))
        keys, counts = _added(more.keys, more.counts, fewer.keys, fewer.counts)
        return type(self)(keys, counts, shift, self.most)._within_bounds()

    def range_at(self, rank: int) -> tuple[int, int, int, int]:
        """Return the range that holds the row at `rank` in the order of keys, its number of rows, and the rows before it."""
        ends = np.cumsum(self.counts)
        place = int(np.searchsorted(ends, rank, side="right"))
        key, n_rows = int(self.keys[place]), int(self.counts[place])
        return key << self.shift, (key + 1) << self.shift, n_rows, int(ends[place]) - n_rows

    def joined(self, most_rows: int) -> Iterator[tuple[int, int, int]]:
        """Yield ranges like `ranges`, neighbouring ones joined into one of at most `most_rows` rows.

        Examples
        --------
        >>> list(KeyCounts.of(np.array([0, 1, 1, 1, 5, 9])).joined(2))
        [(0, 1, 1), (1, 2, 3), (5, 10, 2)]
        """
        ends = np.cumsum(self.counts)
        begin = 0
        while begin < len(ends):
            before = int(ends[begin] - self.counts[begin])
            end = max(int(np.searchsorted(ends, before + most_rows, side="right")), begin + 1)
            first, last = int(self.keys[begin]), int(self.keys[end - 1])
            yield first << self.shift, (last + 1) << self.shift, int(ends[end - 1]) - before
            begin = end

    def ranges(self) -> Iterator[tuple[int, int, int]]:
        """Yield the first key of every range, the key after its last, and its number of rows."""
        for key, n_rows in zip(self.keys.tolist(), self.counts.tolist(), strict=True):
            yield key << self.shift, (key + 1) << self.shift, n_rows

    def _within_bounds(self) -> Self:
        """Return the counts in the narrowest ranges of which there are not too many."""
        if len(self.keys) <= self.most:
            return self
        # Neighbouring keys stay apart as long as their highest bit that differs is not cut off.
        differing = (self.keys[1:] ^ self.keys[:-1]).view(np.uint64)
        place = len(differing) - self.most
        return self._of_width(self.shift + int(np.partition(differing, place)[place]).bit_length())

    def _of_width(self, shift: int) -> Self:
        if shift == self.shift:
            return self
        keys, counts = _summed(self.keys >> (shift - self.shift), self.counts)
        return type(self)(keys, counts, shift, self.most)


def _summed(keys: IntArray, counts: IntArray) -> tuple[IntArray, IntArray]:
    """Add up the counts of equal keys, which are adjacent."""
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else np.empty(0, np.int64)
    return keys[starts], np.add.reduceat(counts, starts) if len(starts) else np.empty(0, np.int64)


def _added(keys: IntArray, counts: IntArray, other_keys: IntArray, other_counts: IntArray) -> tuple[IntArray, IntArray]:
    """Add counts to others, both by ascending keys: no array is copied but into the result."""
    places = np.searchsorted(keys, other_keys)
    is_new = np.ones(len(other_keys), bool)
    inside = places < len(keys)
    is_new[inside] = keys[places[inside]] != other_keys[inside]
    found = np.insert(keys, places[is_new], other_keys[is_new])
    sums = np.insert(counts, places[is_new], other_counts[is_new])
    sums[np.searchsorted(found, other_keys[~is_new])] += other_counts[~is_new]
    return found, sums
