"""Bring the rows of a table into the job's order: partition the rows of each piece of it, then sort each partition."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from emberharmony.planning.chunks import Chunk
from emberharmony.steps.order import JobOrder, as_indices
from emberharmony.typing import IntArray


class KeyRanges:
    """The ranges of keys that the chunks of a job hold, to find the chunk of every row."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self._n_chunks = len(chunks)
        self._starts = np.array([chunk.times[0] for chunk in chunks if chunk.times], np.int64)
        self._ties = np.array([chunk.ties[0] if chunk.ties else 0 for chunk in chunks], np.int64)
        assert len(self._starts) == self._n_chunks  # as planned

    def chunk_of(self, keys: IntArray, ties: IntArray) -> IntArray:
        """Return the chunk of every row; shape ``(n_rows,)``.

        Parameters
        ----------
        keys, ties : int64 array of shape (n_rows,)
            What orders the rows first, and what orders those of equal keys.
        """
        last = np.maximum(np.searchsorted(self._starts, keys, side="right") - 1, 0)
        divided = self._first[last] < last  # several chunks begin at this key
        if not divided.any():
            return last
        chunks = last.copy()
        (rows,) = np.nonzero(divided)
        rows = rows[np.argsort(last[rows], kind="stable")]
        for of_key in np.split(rows, np.flatnonzero(np.diff(last[rows])) + 1):
            end = int(last[of_key[0]])
            begin = int(self._first[end])
            places = np.searchsorted(self._ties[begin : end + 1], ties[of_key], side="right") - 1
            chunks[of_key] = begin + np.maximum(places, 0)
        return chunks

    @cached_property
    def _first(self) -> IntArray:
        """The first chunk that begins at the same key."""
        begins = np.concatenate([[True], self._starts[1:] != self._starts[:-1]])
        return np.maximum.accumulate(np.where(begins, np.arange(self._n_chunks), 0))


def partitioned(
    rows: pa.Table,
    order: JobOrder,
    ranges: KeyRanges,
    n_parts: int,
    part_of: Callable[[IntArray], IntArray] = lambda chunks: chunks,
) -> Iterator[pa.Table]:
    """Yield the rows of every part, in the order in which they were read; rows without a time are left out.

    Parameters
    ----------
    rows : pyarrow.Table
        Rows in any order, with the columns of the job's order and the row number.
    order : JobOrder
        The job's order.
    ranges : KeyRanges
        The keys of every chunk.
    n_parts : int
        Number of parts.
    part_of : callable
        Part of each chunk, from an int64 array of chunks; by default every chunk is one.
    """
    rows = order.placed(rows)
    parts = part_of(ranges.chunk_of(order.keys(rows), order.ties(rows)))
    places = np.argsort(parts.astype(np.min_scalar_type(n_parts)), kind="stable")
    ends = np.concatenate([[0], np.cumsum(np.bincount(parts, minlength=n_parts))]).tolist()
    rows = rows.take(as_indices(places))
    for begin, end in pairwise(ends):
        yield _with_own_dictionaries(rows.slice(begin, end - begin))


def arranged(pieces: Sequence[pa.Table], order: JobOrder) -> pa.Table:
    """Return the rows of all pieces of a chunk, in the job's order."""
    return order.sorted(pa.concat_tables(pieces).unify_dictionaries())


def _with_own_dictionaries(rows: pa.Table) -> pa.Table:
    """Return rows whose dictionaries hold no more values than there are rows."""
    for i, field in enumerate(rows.schema):
        if pt.is_dictionary(field.type) and any(len(chunk.dictionary) > rows.num_rows for chunk in rows[i].chunks):
            values = rows[i].cast(field.type.value_type).dictionary_encode().cast(field.type)
            rows = rows.set_column(i, field, values)
    return rows
