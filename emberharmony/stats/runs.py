"""Runs of equal values in a sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from emberharmony.typing import BoolArray, IntArray


@dataclass(frozen=True)
class Runs:
    """Maximal runs of equal neighbours: their number, and the number of rows in runs of two or more.

    Examples
    --------
    >>> Runs.of(np.array([3, 3, 3, 5, 7, 7])).n_runs
    3
    >>> Runs.of(np.array([3, 3])).merge(Runs.of(np.array([3, 5]))) == Runs.of(np.array([3, 3, 3, 5]))
    True
    """

    n_rows: int = 0
    n_runs: int = 0
    n_shared: int = 0
    first: int = 0  # value of the first run
    last: int = 0
    first_is_single: bool = False  # whether the first run is one row
    last_is_single: bool = False

    @classmethod
    def of(cls, values: IntArray) -> Self:
        """Return the runs of a sequence of integers."""
        if not len(values):
            return cls()
        return cls.of_changes(values[1:] != values[:-1], first=int(values[0]), last=int(values[-1]))

    @classmethod
    def of_changes(cls, changes: BoolArray, *, first: int, last: int) -> Self:
        """Return the runs of a sequence; `changes` marks the values after the first that differ from their predecessor."""
        starts = np.flatnonzero(np.concatenate([[True], changes]))
        lengths = np.diff(np.append(starts, len(changes) + 1))
        shared = int(lengths[lengths > 1].sum())
        single = [bool(lengths[i] == 1) for i in (0, -1)]
        return cls(len(changes) + 1, len(lengths), shared, first, last, *single)

    def merge(self, other: Self) -> Self:
        """Return the runs of this sequence followed by the other."""
        if not self.n_rows or not other.n_rows:
            return self if self.n_rows else other
        joined = self.last == other.first
        return type(self)(
            self.n_rows + other.n_rows,
            self.n_runs + other.n_runs - joined,
            self.n_shared + other.n_shared + joined * (self.last_is_single + other.first_is_single),
            self.first,
            other.last,
            self.first_is_single and not (joined and self.n_runs == 1),
            other.last_is_single and not (joined and other.n_runs == 1),
        )


def merged_runs(runs: Mapping[str, Runs], more: Mapping[str, Runs]) -> dict[str, Runs]:
    """Merge runs by name: those of `runs`, followed by those of `more`."""
    return {name: runs.get(name, Runs()).merge(more.get(name, Runs())) for name in {**runs, **more}}
