"""Train, validation and test rows, divided the same way for any chunking."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emberharmony.messages import check_distinct
from emberharmony.ops import random
from emberharmony.settings import Duration, Section
from emberharmony.typing import IntArray

SPLITS = ("train", "validation", "test")
LEFT_OUT = -1
"""Code of rows that are in no split, because they lie in a gap."""
NEVER = 2**63
"""Boundary later than any tick: the first time of an empty split."""

SplitCodes = NDArray[np.int8]


@dataclass(frozen=True)
class SplitSpec(Section):
    """How the rows are divided into train, validation and test.

    ``temporal``: the earliest rows are for training. The boundary is the time of the row at that rank; rows of equal time stay
    together, in the later split. ``sequential``: the first rows are for training, in the order of the time column (ties by row
    number), else of the table (of a BigQuery table: of `source.key`). The boundary is exact, so rows of equal time may be
    separated. ``hash``: the values of `keys` decide, so rows of equal keys stay together. ``random``: the number of the row in
    the source decides.

    Windows need adjacent rows. A `random` split separates them, and is refused with windows of more than one row. So is a
    `hash` split whose keys change more often than a window is long.
    """

    method: Literal["temporal", "sequential", "hash", "random"] | None = None
    """By default temporal with a time column, else hash with `columns.entity`, else sequential; random for rows without an
    order."""
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    """Shares of train, validation and test; they add up to 1."""
    gap: Duration = timedelta(0)
    """Rows in this time before a boundary are in no split (temporal only): `7d`, `12h`, `PT12H`, or seconds."""
    seed: int = 0
    """Seed of the draw (random and hash)."""
    keys: tuple[str, ...] = ()
    """Columns of a hash split; by default those of `columns.entity`."""

    def __post_init__(self) -> None:
        """Check that the settings fit together."""
        if min(self.fractions) < 0 or self.fractions[0] == 0 or not math.isclose(sum(self.fractions), 1.0):
            raise ValueError(
                f"Split fractions are the shares of train, validation and test. They are not negative, training has some, and "
                f"they add up to 1; got {list(self.fractions)}, which add up to {sum(self.fractions):g}."
            )
        if self.gap < timedelta(0):
            raise ValueError(f"A gap is a length of time and not negative, got {self.gap}.")
        if self.seed < 0:
            raise ValueError(f"seed is a whole number from 0 up, got {self.seed}.")
        if self.keys and self.method != "hash":
            raise ValueError("`keys` are the columns of a hash split. Give both `method: hash` and `keys`, or neither.")
        check_distinct(self.keys or None, key="keys")
        if self.gap and self.method not in (None, "temporal"):
            raise ValueError(
                f"Only a temporal split has a gap, but the split is {self.method}. Leave out `gap`, or set `method: temporal`."
            )

    def ranks(self, n_rows: int) -> tuple[int, int]:
        """Return the ranks of the first validation row and the first test row.

        Examples
        --------
        >>> SplitSpec().ranks(10)
        (8, 9)
        """
        train, validation, _ = self.fractions
        # Exact fractions: in floats, 0.7 + 0.2 is a little below 0.9, which would move a boundary by a row.
        first, second = (Fraction(share).limit_denominator(1_000_000) for share in (train, validation))
        return math.floor(first * n_rows), math.floor(min(first + second, Fraction(1)) * n_rows)


@dataclass(frozen=True)
class TimeBoundaries:
    """The first times of validation and test, and the gap before each, in ticks of the time column."""

    validation: int
    test: int
    gap: int = 0

    @classmethod
    def of(
        cls, spec: SplitSpec, n_rows: int, times_at: Callable[[Sequence[int]], Sequence[int]], gap: int = 0
    ) -> TimeBoundaries:
        """Return the boundaries of `n_rows` rows; `times_at` returns the times of the rows at some ranks.

        Examples
        --------
        >>> TimeBoundaries.of(SplitSpec(), 10, lambda ranks: [100 * rank for rank in ranks])
        TimeBoundaries(validation=800, test=900, gap=0)
        """
        ranks = [rank for rank in spec.ranks(n_rows) if rank < n_rows]
        validation, test = (*times_at(ranks), *(NEVER for _ in range(2 - len(ranks))))
        return cls(validation, test, gap)

    @property
    def edges(self) -> tuple[int, ...]:
        """The times at which rows of another split begin, or rows that are left out."""
        return tuple(first - gap for first in (self.validation, self.test) for gap in {0, self.gap})


def split_by_time(ticks: IntArray, boundaries: TimeBoundaries) -> SplitCodes:
    """Return the split of each row as a code: 0, 1 or 2 in the order of `SPLITS`, or `LEFT_OUT`.

    Examples
    --------
    >>> split_by_time(np.array([1, 5, 7, 8, 9]), TimeBoundaries(validation=7, test=9, gap=2)).tolist()
    [0, -1, -1, -1, 2]
    """
    first, second, gap = boundaries.validation, boundaries.test, boundaries.gap
    codes = (ticks >= first).astype(np.int8) + (ticks >= second).astype(np.int8)
    for boundary in (first, second) if gap else ():
        if boundary != NEVER:
            codes[(ticks >= boundary - gap) & (ticks < boundary)] = LEFT_OUT
    return codes


def split_by_rank(ranks: IntArray, spec: SplitSpec, n_rows: int) -> SplitCodes:
    """Return the split of each row as a code, given its rank in the order of all `n_rows`.

    Examples
    --------
    >>> split_by_rank(np.arange(10), SplitSpec(fractions=(0.5, 0.3, 0.2)), 10).tolist()
    [0, 0, 0, 0, 0, 1, 1, 1, 2, 2]
    """
    first, second = spec.ranks(n_rows)
    return (ranks >= first).astype(np.int8) + (ranks >= second).astype(np.int8)


def split_at_random(row_numbers: IntArray, spec: SplitSpec) -> SplitCodes:
    """Return the split of each row as a code, drawn from (seed, row number) by a counter-based generator."""
    return _codes_of(random.uniform_at(row_numbers, seed=spec.seed), spec)


def split_by_hash(key_hashes: NDArray[np.uint64], spec: SplitSpec) -> SplitCodes:
    """Return the split of each row as a code, given the 64-bit hash of its keys; equal keys stay together."""
    return _codes_of((key_hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53, spec)


def _codes_of(uniform: NDArray[np.float64], spec: SplitSpec) -> SplitCodes:
    train, validation, _ = spec.fractions
    return (uniform >= train).astype(np.int8) + (uniform >= train + validation).astype(np.int8)
