"""A bounded sample of a table, described column by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from numpy.typing import NDArray

from emberharmony.arrow import holds_times, is_text, ticks
from emberharmony.typing import IntArray

MAX_ROWS: Final = 50_000
MAX_CELLS: Final = 4_000_000
MAX_SAMPLE_BYTES: Final = 64 * 2**20
"""Bounds on a sample; the smallest of the three decides."""


def sample_rows(row_bytes: float, n_columns: int) -> int:
    """Return how many rows of a table are looked at.

    Examples
    --------
    >>> sample_rows(100.0, 10), sample_rows(100.0, 1_000), sample_rows(1e6, 10)
    (50000, 4000, 67)
    """
    return max(1, min(MAX_ROWS, MAX_CELLS // max(1, n_columns), int(MAX_SAMPLE_BYTES // max(1.0, row_bytes))))


@dataclass(frozen=True, eq=False)
class SampledColumn:
    """The sampled values of a column.

    Examples
    --------
    >>> color = SampledColumn("color", pa.chunked_array([["red", "blue", None, "red"]]))
    >>> color.n_distinct, color.n_null, color.is_unique
    (2, 1, False)
    """

    name: str
    values: pa.ChunkedArray

    @property
    def type(self) -> pa.DataType:
        """Type of the values, of a dictionary that of its categories."""
        type_ = self.values.type
        return type_.value_type if pt.is_dictionary(type_) else type_

    @property
    def n_rows(self) -> int:
        """Sampled rows."""
        return len(self.values)

    @cached_property
    def codes(self) -> IntArray | None:
        """A number for each distinct value, of shape (n_rows,), -1 for null; ``None`` for types that Arrow cannot compare."""
        if pt.is_null(self.type):
            return np.full(self.n_rows, -1)
        try:
            values = self.values.cast(self.type).combine_chunks() if pt.is_dictionary(self.values.type) else self.values
            encoded = pc.dictionary_encode(pa.chunked_array([values]) if isinstance(values, pa.Array) else values)
        except (pa.ArrowException, NotImplementedError):
            return None
        found = pa.chunked_array([chunk.indices for chunk in encoded.unify_dictionaries().chunks], pa.int32())
        numbers: IntArray = pc.fill_null(found, -1).to_numpy().astype(np.int64)
        return numbers

    @cached_property
    def n_null(self) -> int:
        """Sampled rows without a value."""
        return int(self.values.null_count) if self.codes is None else int(np.count_nonzero(self.codes < 0))

    @cached_property
    def n_distinct(self) -> int | None:
        """Distinct values without null; ``None`` if they cannot be compared."""
        return None if self.codes is None else len(np.unique(self.codes[self.codes >= 0]))

    @property
    def is_constant(self) -> bool:
        """Whether all sampled rows have the same value."""
        return self.n_rows > 1 and self.n_distinct == 1 and not self.n_null

    @property
    def is_unique(self) -> bool:
        """Whether no two of the sampled rows, of 20 at least, have the same value."""
        return self.n_rows >= 20 and not self.n_null and self.n_distinct == self.n_rows

    @cached_property
    def mean_chars(self) -> float:
        """Mean length of texts; 0 for other types."""
        if not is_text(self.type) or self.n_null == self.n_rows:
            return 0.0
        return float(pc.mean(pc.utf8_length(self.values.cast(pa.large_string()))).as_py() or 0.0)

    @cached_property
    def times(self) -> tuple[IntArray, NDArray[np.bool_]] | None:
        """Ticks and a mask of nulls, both of shape (n_rows,); ``None`` if the column holds no times."""
        if not holds_times(self.values.type):
            return None
        numbers, missing, _ = ticks(self.values.cast(self.type))
        return numbers, np.zeros(len(numbers), bool) if missing is None else missing

    @cached_property
    def is_ascending(self) -> bool:
        """Whether the times do not fall from row to row."""
        if self.times is None:
            return False
        numbers, missing = self.times
        there = numbers[~missing]
        return bool((there[1:] >= there[:-1]).all())


@dataclass(frozen=True, eq=False)
class TableSample:
    """Some rows of a table, and what its metadata says.

    Parameters
    ----------
    schema : pyarrow.Schema
        All columns that a job can name.
    n_rows : int
        Rows of the table.
    rows : pyarrow.Table
        The sampled rows, in the order in which they lie. It lacks columns that cannot be read, and has no rows at all of a
        table whose rows are not looked at.
    unreadable : mapping of str to str
        Columns that a job cannot use, and why.
    """

    schema: pa.Schema
    n_rows: int
    rows: pa.Table
    unreadable: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether every row of the table is in the sample."""
        return bool(self.rows.num_rows == self.n_rows)

    @cached_property
    def columns(self) -> dict[str, SampledColumn]:
        """The sampled columns by name, in the table's order."""
        return {name: SampledColumn(name, self.rows[name]) for name in self.rows.column_names}

    def groups(self, names: Sequence[str]) -> IntArray | None:
        """Return a number for each distinct combination of values, of shape (n_rows,); null is a value of its own.

        Returns ``None`` if a column's values cannot be compared.
        """
        found = np.zeros(self.rows.num_rows, np.int64)
        for name in names:
            codes = self.columns[name].codes
            if codes is None:
                return None
            found = np.unique(found * (codes.max(initial=-1) + 2) + codes + 1, return_inverse=True)[1]
        return found
