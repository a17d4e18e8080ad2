"""Whether the rows of every key are adjacent, in bounded memory however many keys there are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from emberharmony.typing import IntArray

MAX_KEYS = 2**21
"""Keys that are kept to be compared: 16 MiB."""
_COMPARED = 2**17  # at a time


@dataclass(frozen=True)
class KeyRuns:
    """Runs of equal keys in adjoining pieces of a sequence: their keys, as long as no key is known to have two.

    Examples
    --------
    >>> runs = KeyRuns.of(np.array([7, 7, -1]))
    >>> runs.merge(KeyRuns.of(np.array([-1, 8]))).are_whole(), runs.merge(KeyRuns.of(np.array([7]))).are_whole()
    (True, False)
    """

    n_rows: int = 0
    first: int = 0  # key of the first row
    last: int = 0
    n_runs: int = 0
    keys: tuple[IntArray, ...] | None = ()  # of the runs, ascending in each piece; none once a key repeats
    most: int = MAX_KEYS

    @classmethod
    def of(cls, keys: IntArray, *, most: int = MAX_KEYS) -> Self:
        """Return the runs of the keys of some rows, in their order."""
        if not len(keys):
            return cls(most=most)
        runs = np.sort(np.concatenate([keys[:1], keys[1:][keys[1:] != keys[:-1]]]))
        found = cls(len(keys), int(keys[0]), int(keys[-1]), len(runs), (runs,), most)._within_bounds()
        return replace(found, keys=None) if _repeats(runs) else found

    def merge(self, other: Self) -> Self:
        """Return the runs of these rows, followed by the other ones."""
        if not self.n_rows or not other.n_rows:
            return self if self.n_rows else other
        joined, keys = self.last == other.first, None
        if self.keys is not None and other.keys is not None:
            first, *rest = other.keys
            begun = first[first != other.first] if joined else first
            keys = (*self.keys, *((begun,) if len(begun) else ()), *rest)
        n_runs = self.n_runs + other.n_runs - joined
        return type(self)(self.n_rows + other.n_rows, self.first, other.last, n_runs, keys, self.most)._within_bounds()

    def are_whole(self) -> bool:
        """Whether the rows of every key are adjacent; ``False`` also if there are too many keys to tell."""
        if self.keys is None:
            return False
        n_ranges = -(-self.n_runs // _COMPARED) or 1
        edges = [i * 2**63 // n_ranges - 2**62 for i in range(1, n_ranges)]  # hashes are spread evenly
        ranges = zip(*(np.split(piece, np.searchsorted(piece, edges)) for piece in self.keys), strict=True)
        return not any(_repeats(np.sort(np.concatenate(of_pieces))) for of_pieces in ranges)

    def _within_bounds(self) -> Self:
        return self if self.n_runs <= self.most else replace(self, keys=None)


def _repeats(ordered: IntArray) -> bool:
    return bool((ordered[1:] == ordered[:-1]).any())
