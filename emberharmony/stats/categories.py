"""Exact counts of the categories of a column."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberharmony.stats.hashing import hash_strings
from emberharmony.typing import Arrays

MAX_MERGED_BYTES = 16 * 2**20
"""Bytes of distinct values and counts that a merge holds at once; more take several passes over the states of the chunks."""
_STATE_BYTES = 2_000  # of Arrow's and Python's objects, beside the values of one chunk
_MARGIN = 1.1  # a portion is larger or smaller than others, by chance of the hash


@dataclass(frozen=True)
class CategoryCounts:
    """How often each string occurs; nulls are not counted here.

    Examples
    --------
    >>> a = CategoryCounts.of(pa.array(["x", "y", "x", None]))
    >>> a.merge(CategoryCounts.of(pa.array(["y", "z", "y"]))).top(2)
    [('y', 3), ('x', 2)]
    """

    table: pa.Table  # value: large_string, distinct; count: int64

    @classmethod
    def empty(cls) -> Self:
        """Return the state of no rows."""
        return cls(_NOTHING)

    @classmethod
    def of(cls, column: pa.Array | pa.ChunkedArray, /) -> Self:
        """Return the state of a column of strings, nulls allowed."""
        counted = pc.value_counts(pc.drop_null(column.cast(pa.large_string())))
        return cls(pa.table({"value": counted.field(0), "count": counted.field(1)}, _SCHEMA))

    def merge(self, other: Self, /) -> Self:
        """Return the state of both states' rows together."""
        return self.merge_all([self, other]) if self.n_distinct and other.n_distinct else self if self.n_distinct else other

    @classmethod
    def merge_all(cls, states: Iterable[Self], /) -> Self:
        """Return the state of all states' rows together, in one pass of grouping."""
        tables = [state.table for state in states if state.n_distinct]  # most columns have no categories
        if len(tables) < 2:
            return cls(tables[0]) if tables else cls.empty()
        grouped = pa.concat_tables(tables).group_by("value").aggregate([("count", "sum")])
        return cls(pa.table({"value": grouped["value"], "count": grouped["count_sum"]}, _SCHEMA))

    @property
    def n_distinct(self) -> int:
        """Number of distinct values."""
        return int(self.table.num_rows)

    @property
    def n_bytes(self) -> int:
        """Size of the values and their counts."""
        return int(self.table.nbytes)

    def top(self, k: int, /) -> list[tuple[str, int]]:
        """Return the `k` most frequent values and their counts; equal counts come in the order of their values."""
        ordered = self.table.take(pc.sort_indices(self.table, sort_keys=[("count", "descending"), ("value", "ascending")])[:k])
        return list(zip(ordered["value"].to_pylist(), ordered["count"].to_pylist(), strict=True))

    def portion(self, number: int, of: int, /) -> Self:
        """Return the counts of the values that the hash assigns to portion `number` of `of`."""
        if of == 1:
            return self
        return type(self)(self.table.filter(pa.array(hash_strings(self.table["value"]) % np.uint64(of) == number)))

    def to_arrays(self) -> Arrays:
        """Return the state as named arrays: the concatenated bytes of the strings, the end of each, and the counts."""
        text = self.table["value"].combine_chunks()
        text = text.chunk(0) if isinstance(text, pa.ChunkedArray) and text.num_chunks else text
        if len(text) == 0:
            return {"text": np.empty(0, np.uint8), "ends": np.empty(0, np.int64), "counts": np.empty(0, np.int64)}
        lengths = pc.binary_length(text).to_numpy(zero_copy_only=False).astype(np.int64)
        start = np.frombuffer(text.buffers()[1], np.int64)[text.offset]
        data = np.frombuffer(text.buffers()[2] or b"", np.uint8)[start : start + lengths.sum()]
        return {"text": data.copy(), "ends": np.cumsum(lengths), "counts": self.table["count"].to_numpy()}

    @classmethod
    def from_arrays(cls, arrays: Arrays, /) -> Self:
        """Return the state that `to_arrays` wrote."""
        if not len(arrays["ends"]):
            return cls.empty()
        offsets = np.concatenate([[0], arrays["ends"]]).astype(np.int64)
        buffers = [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(arrays["text"].tobytes())]
        values = pa.Array.from_buffers(pa.large_string(), len(arrays["ends"]), buffers)
        return cls(pa.table({"value": values, "count": pa.array(arrays["counts"], pa.int64())}, _SCHEMA))


_SCHEMA = pa.schema([("value", pa.large_string()), ("count", pa.int64())])
_NOTHING = pa.Table.from_batches([], _SCHEMA)  # not `empty_table`, which imports pandas


class TopCategories(NamedTuple):
    """The most frequent values of a column with their counts, and its number of distinct values."""

    values: Sequence[tuple[str, int]] = ()
    n_distinct: int = 0


def top_categories(
    chunks: Callable[[], Iterable[Mapping[str, CategoryCounts]]],
    columns: Iterable[str],
    k: int,
    *,
    max_bytes: int = MAX_MERGED_BYTES,
) -> dict[str, TopCategories]:
    """Merge the states of the chunks and return the `k` most frequent values of each column, in bounded memory.

    One pass over the chunks counts all columns, if their distinct values fit in `max_bytes` together. A column that does not
    fit is counted in portions, to which the hash of a value assigns it; each further pass counts as many portions as fit. So
    counting stays exact and memory bounded for any number of categories.

    Parameters
    ----------
    chunks : callable
        Begins a pass: returns the states of the columns, chunk by chunk.
    columns : iterable of str
        The columns to count.
    k : int
        Number of values to return for each column, at most.
    max_bytes : int
        Bytes of merged states, and again of states that wait to be merged.

    Examples
    --------
    >>> chunks = [{"x": CategoryCounts.of(pa.array(["a", "b"]))}, {"x": CategoryCounts.of(pa.array(["b", "c"]))}]
    >>> top_categories(lambda: chunks, ["x"], 2, max_bytes=20)
    {'x': TopCategories(values=[('b', 2), ('a', 1)], n_distinct=3)}
    """
    waiting = [_Portion(column) for column in columns]
    found = {portion.column: TopCategories() for portion in waiting}
    while waiting:
        counted = [waiting.pop()]
        while waiting and sum(portion.expected_bytes for portion in [*counted, waiting[-1]]) <= max_bytes:
            counted.append(waiting.pop())
        _count(chunks(), counted, max_bytes)
        for portion in counted:
            if portion.is_whole:
                found[portion.column] = _joined(found[portion.column], portion.merged, k)
            else:
                waiting += portion.parts(max_bytes)
    return found


class _Portion:
    """The values of a column whose hash is `number`, modulo `of`, and their counts."""

    def __init__(self, column: str, number: int = 0, of: int = 1, *, expected_bytes: float = 0.0) -> None:
        self.column, self.number, self.of, self.expected_bytes = column, number, of, expected_bytes
        self.merged = CategoryCounts.empty()
        self._batch: list[CategoryCounts] = []
        self._divisor = 1  # one of so many parts is counted: more does not fit

    @property
    def is_whole(self) -> bool:
        """Whether all of its values were counted."""
        return self._divisor == 1

    def add(self, state: CategoryCounts) -> int:
        """Add the values of one more chunk; returns the bytes that they take until they are merged."""
        if not state.n_distinct:
            return 0
        self._batch.append(state.portion(self.number, self.of * self._divisor))
        return self._batch[-1].n_bytes + _STATE_BYTES

    def merge(self) -> None:
        """Merge what was added."""
        self.merged = CategoryCounts.merge_all([self.merged, *self._batch])
        self._batch = []

    def halve(self) -> None:
        """Count only half of the values from now on, and keep the counts of these."""
        self._divisor *= 2
        self.merged = self.merged.portion(self.number, self.of * self._divisor)

    def parts(self, max_bytes: int) -> list[_Portion]:
        """Return portions that together hold the values of this one and will each fit in `max_bytes`."""
        n_bytes = _MARGIN * self._divisor * self.merged.n_bytes
        n = max(2, math.ceil(n_bytes / max_bytes))
        return [_Portion(self.column, self.number + i * self.of, self.of * n, expected_bytes=n_bytes / n) for i in range(n)]


def _count(chunks: Iterable[Mapping[str, CategoryCounts]], portions: Sequence[_Portion], max_bytes: int) -> None:
    """Count several portions in one pass over the chunks; those that do not fit are halved."""
    added = 0
    for states in chunks:
        added += sum(portion.add(states[portion.column]) for portion in portions)
        if added > max_bytes:
            _merge_bounded(portions, max_bytes)
            added = 0
    _merge_bounded(portions, max_bytes)


def _merge_bounded(portions: Sequence[_Portion], max_bytes: int) -> None:
    for portion in portions:
        portion.merge()
    while sum(portion.merged.n_bytes for portion in portions) > max_bytes:
        largest = max(portions, key=lambda portion: portion.merged.n_bytes)
        if largest.merged.n_distinct == 1:  # of a single value, nothing can be left out
            break
        largest.halve()


def _joined(top: TopCategories, counts: CategoryCounts, k: int) -> TopCategories:
    """Return the most frequent values of a column of which one more portion has been counted."""
    best = sorted([*top.values, *counts.top(k)], key=lambda pair: (-pair[1], pair[0]))[:k]
    return TopCategories(best, top.n_distinct + counts.n_distinct)
