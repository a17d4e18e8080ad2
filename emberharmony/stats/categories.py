"""Exact counts of the categories of a column."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberharmony.stats.hashing import hash_strings
from emberharmony.typing import Arrays

MAX_MERGED_BYTES = 16 * 2**20
"""Bytes of distinct values and counts that a merge holds at once; more take several passes over the states of the chunks."""


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
    """The most frequent values of a column, and its number of distinct values."""

    values: list[tuple[str, int]]
    n_distinct: int


def top_categories(
    states: Callable[[], Iterable[CategoryCounts]], k: int, *, max_bytes: int = MAX_MERGED_BYTES
) -> TopCategories:
    """Merge the states of the chunks and return the `k` most frequent values, in bounded memory.

    The hash of a value assigns it to a portion, and each pass over the states counts one portion. There are as many portions
    as keep each within `max_bytes`, so that counting stays exact and memory bounded for any number of categories.

    Examples
    --------
    >>> chunks = [CategoryCounts.of(pa.array(["a", "b"])), CategoryCounts.of(pa.array(["b", "c"]))]
    >>> top_categories(lambda: chunks, 2, max_bytes=20)
    TopCategories(values=[('b', 2), ('a', 1)], n_distinct=3)
    """
    portions = max(1, -(-sum(state.n_bytes for state in states()) // max_bytes))
    best: list[tuple[str, int]] = []
    n_distinct = 0
    for number in range(portions):
        counts = _merge_bounded((state.portion(number, portions) for state in states()), max_bytes)
        n_distinct += counts.n_distinct
        best = sorted(best + counts.top(k), key=lambda pair: (-pair[1], pair[0]))[:k]
    return TopCategories(best, n_distinct)


def _merge_bounded(states: Iterable[CategoryCounts], max_bytes: int) -> CategoryCounts:
    """Merge states in batches, so that duplicates take bounded memory."""
    merged, batch, held = CategoryCounts.empty(), list[CategoryCounts](), 0
    for state in states:
        batch.append(state)
        held += state.n_bytes
        if held > max_bytes:
            merged, batch, held = CategoryCounts.merge_all([merged, *batch]), [], 0
    return CategoryCounts.merge_all([merged, *batch])
