"""Which split each row of a chunk belongs to: one class for each method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import pyarrow as pa

from emberharmony.arrow import ticks
from emberharmony.features.columns import ROW_NUMBER
from emberharmony.features.kinds.categorical import strings
from emberharmony.planning.chunks import LAST_TICK
from emberharmony.splits import (
    SPLITS,
    SplitCodes,
    SplitSpec,
    TimeBoundaries,
    split_at_random,
    split_by_hash,
    split_by_rank,
    split_by_time,
)
from emberharmony.stats.hashing import hash_rows, runs_of
from emberharmony.stats.runs import Runs


class RowSplit(Protocol):
    """Decides the split of rows, the same for any chunking."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the source that the decision needs, besides the row's number."""
        ...

    def codes_of(self, ranks: range, times: tuple[int, int] | None) -> SplitCodes | None:
        """Return the codes of rows that need not be read; ``None`` if they have to be.

        Parameters
        ----------
        ranks : range
            Ranks of the rows in the job's order.
        times : tuple of int or None
            A range ``[from, to)`` of times in which they lie, if one is known.
        """
        ...

    def codes(self, rows: pa.Table, ranks: range) -> SplitCodes:
        """Return the code of each row's split.

        Parameters
        ----------
        rows : pyarrow.Table
            Rows of one chunk in the job's order, with `columns` and the row number.
        ranks : range
            Ranks of the same rows in the job's order.
        """
        ...

    def key_runs(self, rows: pa.Table, codes: SplitCodes) -> dict[str, Runs]:
        """Return the runs of rows of equal keys in each split, for methods that part rows by keys."""
        ...


class _WithoutKeys:
    """A method that looks at no keys."""

    def key_runs(self, rows: pa.Table, codes: SplitCodes) -> dict[str, Runs]:
        """Return nothing: no keys are compared."""
        return {}


class _ByRank(_WithoutKeys, ABC):
    """A method that looks at nothing but ranks."""

    columns: ClassVar[tuple[str, ...]] = ()

    def codes_of(self, ranks: range, times: tuple[int, int] | None) -> SplitCodes:
        """Return the codes, without rows."""
        return self.codes(pa.table({}), ranks)

    @abstractmethod
    def codes(self, rows: pa.Table, ranks: range) -> SplitCodes:
        """Return codes by rank."""


@dataclass(frozen=True)
class OneSplit(_ByRank):
    """All rows in one split: those that a fitted state is applied to."""

    def codes(self, rows: pa.Table, ranks: range) -> SplitCodes:
        """Return zeros."""
        return np.zeros(len(ranks), np.int8)


@dataclass(frozen=True)
class TemporalSplit(_WithoutKeys):
    """Earlier times train, later ones validate and test."""

    time: str
    boundaries: TimeBoundaries

    @property
    def columns(self) -> tuple[str, ...]:
        """The time column."""
        return (self.time,)

    def codes_of(self, ranks: range, times: tuple[int, int] | None) -> SplitCodes | None:
        """Return codes by the range of times, if no boundary lies inside it."""
        if times is None:
            return None
        start, stop = times
        last = stop - 1 if stop < LAST_TICK else stop
        if any(start < edge <= last for edge in self.boundaries.edges):
            return None
        return np.repeat(split_by_time(np.array([start]), self.boundaries), len(ranks))

    def codes(self, rows: pa.Table, ranks: range) -> SplitCodes:
        """Return codes by time."""
        return split_by_time(ticks(rows[self.time])[0], self.boundaries)


@dataclass(frozen=True)
class SequentialSplit(_ByRank):
    """The first rows of the job's order train."""

    spec: SplitSpec
    n_rows: int

    def codes(self, rows: pa.Table, ranks: range) -> SplitCodes:
        """Return codes by rank."""
        return split_by_rank(np.arange(ranks.start, ranks.stop), self.spec, self.n_rows)


@dataclass(frozen=True)
class HashSplit:
    """Rows of equal keys go to the same split, drawn by a hash of the keys."""

    spec: SplitSpec

    @property
    def columns(self) -> tuple[str, ...]:
        """The keys."""
        return self.spec.keys

    def codes_of(self, ranks: range, times: tuple[int, int] | None) -> None:
        """Return nothing: the keys have to be read."""

    def codes(self, rows: pa.Table, ranks: range) -> SplitCodes:
        """Return codes by the hash of each row's keys."""
        return split_by_hash(hash_rows(self._keys(rows), seed=self.spec.seed), self.spec)

    def key_runs(self, rows: pa.Table, codes: SplitCodes) -> dict[str, Runs]:
        """Return the runs of equal keys in each split: whether its windows hold neighbouring rows."""
        keys = self._keys(rows)
        return {name: runs_of([key.filter(pa.array(codes == i)) for key in keys]) for i, name in enumerate(SPLITS)}

    def _keys(self, rows: pa.Table) -> list[pa.ChunkedArray]:
        return [strings(rows[key]) for key in self.spec.keys]


@dataclass(frozen=True)
class RandomSplit(_WithoutKeys):
    """Every row's split is drawn by its number in the source."""

    spec: SplitSpec
    columns: ClassVar[tuple[str, ...]] = ()

    def codes_of(self, ranks: range, times: tuple[int, int] | None) -> None:
        """Return nothing: the rows' numbers have to be read."""

    def codes(self, rows: pa.Table, ranks: range) -> SplitCodes:
        """Return codes by row number."""
        return split_at_random(rows[ROW_NUMBER].to_numpy(), self.spec)


def row_split(
    method: str, spec: SplitSpec, *, n_rows: int, time: str | None = None, boundaries: TimeBoundaries | None = None
) -> RowSplit:
    """Return the split of a method.

    Parameters
    ----------
    method : {"temporal", "sequential", "hash", "random"}
        The method.
    spec : SplitSpec
        Fractions, seed and keys.
    n_rows : int
        Rows that take part.
    time, boundaries
        Time column and boundaries of a temporal split.
    """
    if method == "temporal":
        assert time is not None
        assert boundaries is not None
        return TemporalSplit(time, boundaries)
    others: Mapping[str, RowSplit] = {
        "sequential": SequentialSplit(spec, n_rows),
        "hash": HashSplit(spec),
        "random": RandomSplit(spec),
    }
    return others[method]
