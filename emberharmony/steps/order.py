"""The order of a job's rows, and the series that they form in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa

from emberharmony.arrow import tick_unit, ticks, ticks_of
from emberharmony.features.columns import ROW_NUMBER
from emberharmony.settings import written_duration
from emberharmony.stats.entity_keys import entity_keys, value_changes, value_codes
from emberharmony.stats.series_span import SeriesSpan
from emberharmony.typing import BoolArray, IntArray


@dataclass(frozen=True)
class JobOrder:
    """Rows are ordered by entity, then by time, then by their number in the source.

    Rows of one entity are adjacent. Which entity comes before which is decided by their keys (`entity_keys`): any order would
    do, and this one divides into ranges of equal size without a look at the values.

    Examples
    --------
    >>> order = JobOrder(("id",), "t")
    >>> rows = pa.table({"row_number": [0, 1, 2], "id": ["a", "b", "a"], "t": pa.array([2, 0, 1], pa.timestamp("s"))})
    >>> in_order = order.sorted(rows)
    >>> order.borders(in_order).tolist() in ([1], [2])
    True
    """

    entity: tuple[str, ...] = ()
    time: str | None = None
    max_gap: int | None = None
    """Ticks between two rows of one series, at most."""

    @classmethod
    def of_published(cls, spec: Mapping[str, Any], schema: pa.Schema) -> Self:
        """Return the order of a published result's rows.

        Parameters
        ----------
        spec : mapping
            The job's spec, as the manifest has it: plain JSON, which is read without pydantic.
        schema : pyarrow.Schema
            The columns of the feature parts.
        """
        columns, gap = spec["columns"], spec["windows"].get("max_gap")
        entity, time = columns.get("entity", ()), columns["time"]
        entity = (entity,) if isinstance(entity, str) else tuple(entity)
        if gap is None or time not in schema.names:
            return cls(entity, time)
        return cls(entity, time, ticks_of(written_duration(gap), tick_unit(schema.field(time).type)))

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that decide the order and the series."""
        return (*self.entity, self.time) if self.time else self.entity

    @property
    def makes_series(self) -> bool:
        """Whether the rows of a split can be more than one series."""
        return bool(self.entity) or self.max_gap is not None

    def placed(self, rows: pa.Table) -> pa.Table:
        """Return the rows that have a place in the order: those with a time, in a job that has times."""
        missing = ticks(rows[self.time])[1] if self.time else None
        return rows if missing is None else rows.filter(pa.array(~missing))

    def keys(self, rows: pa.Table) -> IntArray:
        """Return what orders the rows first: the keys of their entities, or their times; shape ``(n_rows,)``."""
        return entity_keys([rows[name] for name in self.entity]) if self.entity else ticks(rows[self.time])[0]

    def ties(self, rows: pa.Table) -> IntArray:
        """Return what orders the rows of one entity: their times, or their numbers; shape ``(n_rows,)``."""
        return ticks(rows[self.time])[0] if self.time else rows[ROW_NUMBER].to_numpy()

    def sorted(self, rows: pa.Table) -> pa.Table:
        """Return the rows in order."""
        keys = self.keys(rows)
        numbers = rows[ROW_NUMBER].to_numpy()
        last = [self.ties(rows), numbers] if self.entity else [numbers]  # without entities, the keys are the times
        places = in_order_of([keys, *last])
        found, keys_found = rows.take(as_indices(places)), keys[places]
        same = keys_found[1:] == keys_found[:-1]
        if any(bool((same & value_changes(found[name])).any()) for name in self.entity):
            # Two entities share a key, and their rows are mixed.
            codes = [value_codes(rows[name]) for name in self.entity]
            found = rows.take(as_indices(in_order_of([keys, *codes, *last])))
        return found

    def borders(self, rows: pa.Table) -> IntArray:
        """Return the places of rows that begin another series than the row before them; ascending, without the first row."""
        return np.flatnonzero(self._begins(rows)) + 1

    def span(self, rows: pa.Table, *, size: int) -> SeriesSpan:
        """Return the series of some rows of a split, for windows of `size` rows."""
        if not rows.num_rows:
            return SeriesSpan(size=size)
        first, last = (self._mark(rows.slice(place, 1)) for place in (0, rows.num_rows - 1))
        return SeriesSpan.of(rows.num_rows, self.borders(rows), size=size, first=first, last=last)

    def continues(self, before: SeriesSpan, after: SeriesSpan) -> bool:
        """Whether the first row of a span continues the last series of the span before it."""
        if not before.n_rows or not after.n_rows or before.last[0] != after.first[0]:
            return False
        return self.max_gap is None or after.first[1] - before.last[1] <= self.max_gap

    def joined(
        self, spans: Iterable[Mapping[str, SeriesSpan]], splits: Sequence[str]
    ) -> tuple[IntArray, dict[str, SeriesSpan]]:
        """Join the spans of all chunks, in order.

        Returns
        -------
        int64 array of shape (n_chunks, n_splits)
            Number, in its series, of every chunk's first row of every split.
        dict of str to SeriesSpan
            The series of every split.
        """
        total, starts = {name: SeriesSpan() for name in splits}, []
        for of_chunk in spans:
            line = []
            for name in splits:
                span = of_chunk.get(name, SeriesSpan())
                continues = self.continues(total[name], span)
                line.append(total[name].last_rows if continues else 0)
                total[name] = total[name].merge(span, continues=continues)
            starts.append(line)
        return np.array(starts, np.int64).reshape(-1, len(splits)), total

    def _mark(self, row: pa.Table) -> tuple[int, int]:
        key = int(self.keys(row)[0]) if self.entity else 0
        return key, int(ticks(row[self.time])[0][0]) if self.time else 0

    def _begins(self, rows: pa.Table) -> BoolArray:
        begins = np.zeros(max(rows.num_rows - 1, 0), bool)
        if rows.num_rows < 2:
            return begins
        for name in self.entity:
            begins |= value_changes(rows[name])
        if self.max_gap is not None:
            times = ticks(rows[self.time])[0]
            distance = np.diff(times.view(np.uint64))  # unsigned: it may exceed the largest time
            begins |= (times[1:] > times[:-1]) & (distance > np.uint64(self.max_gap))
        return begins


def in_order_of(columns: Sequence[IntArray]) -> IntArray:
    """Return the places of rows in ascending order of the first column, then the second, and so on; no two rows are equal.

    One sort of ranks that are put together is twice as fast as `numpy.lexsort`.

    Examples
    --------
    >>> in_order_of([np.array([2, 1, 2]), np.array([0, 5, -9])]).tolist()
    [1, 2, 0]
    """
    places = np.argsort(columns[0])
    ordered = columns[0][places]
    repeats = ordered[1:] == ordered[:-1]
    if not repeats.any():
        return places
    together = np.empty(len(places), np.int64)
    together[places] = np.concatenate([[0], np.cumsum(~repeats)])
    n_ranks = int(together[places[-1]]) + 1
    for column in columns[1:]:
        ranks = _ranks(column)
        n_ranks *= int(ranks.max()) + 1
        if n_ranks >= 2**62:
            return np.lexsort(columns[::-1])
        together = together * (int(ranks.max()) + 1) + ranks
    return np.argsort(together)


def as_indices(places: IntArray) -> pa.Array:
    """Return places of rows as Arrow takes them fastest: as 32-bit numbers, if there are no more rows.

    Examples
    --------
    >>> as_indices(np.array([2, 0])).type
    DataType(uint32)
    """
    return pa.array(places.astype(np.uint32) if len(places) < 2**32 else places)


def _ranks(column: IntArray) -> IntArray:
    """Ranks of numbers, of which there is one at least, among the distinct ones, from 0 up."""
    if bool((column[1:] > column[:-1]).all()):
        return np.arange(len(column))
    places = np.argsort(column)
    ordered = column[places]
    ranks = np.empty(len(column), np.int64)
    ranks[places] = np.concatenate([[0], np.cumsum(ordered[1:] != ordered[:-1])])
    return ranks
