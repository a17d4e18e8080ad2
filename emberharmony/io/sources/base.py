"""What the pipeline asks of a table, wherever it lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from emberharmony.features.columns import ROW_NUMBER
from emberharmony.io.sources.text_budget import TextBudget
from emberharmony.planning.chunks import Chunk
from emberharmony.planning.partitions import TimePartitions
from emberharmony.typing import IntArray


@dataclass(frozen=True)
class TableInfo:
    """A table as its metadata describes it."""

    schema: pa.Schema
    n_rows: int
    identity: Mapping[str, Any]  # JSON; changes whenever the content does
    bytes_per_row: Mapping[str, float]  # by column, decoded
    always_read: tuple[str, ...] = ()  # columns that every chunk takes, asked for or not: they tell rows of one time apart
    in_flight_bytes: int = 0  # besides its rows, while a chunk is read
    stored_bytes_per_row: Mapping[str, float] = field(default_factory=dict)  # where known: in files, equal values once
    name: str = "The table"  # in messages


@dataclass(frozen=True)
class RowOrder:
    """What the rows of a table are put in order by, where chunks are ranges of it."""

    column: str
    resolution: int = 1  # ticks between two of its values that may differ: a day, of dates
    partitions: TimePartitions | None = None  # of the table by this column: a range within one is read without the others
    then: RowOrder | None = None  # of rows alike in it, where chunks can be ranges of a second column


@dataclass(frozen=True)
class TimeRange:
    """First and last time of a table's time column in ticks, and how many rows have none."""

    first: int
    last: int
    n_null: int


def no_rows(schema: pa.Schema, columns: Sequence[str]) -> pa.Table:
    """Return what `Source.read` returns of a chunk without rows."""
    return pa.schema([pa.field(ROW_NUMBER, pa.int64()), *map(schema.field, columns)]).empty_table()


class Source(Protocol):
    """A table that can be read chunk by chunk.

    Times are ticks: integers in the unit of the time column's Arrow type (dates: seconds).
    """

    def local_files(self) -> Sequence[Path]:
        """Files on this machine that the table is read from."""
        ...

    def would_read(self, file: Path) -> bool:
        """Whether a Parquet file at this path, if there were one, would be part of the table."""
        ...

    def describe(self) -> TableInfo:
        """Return the table's description, from metadata alone; it may have no rows."""
        ...

    def order(self, time: str | None) -> RowOrder | None:
        """Order of a job by `time`, or, without one, by the table's key; ``None``: the rows have an order of their own."""
        ...

    def is_all_null(self, column: str) -> bool:
        """Whether it is known that no row has a value in `column`; a source that would pay for the answer says no."""
        ...

    def row_groups(self, time: str | None) -> IntArray | None:
        """Rows of each row group if the groups follow one another in the job's order; ``None`` if they do not."""
        ...

    def is_sorted_within(self, time: str, chunk_rows: int) -> bool:
        """Whether row groups of more than `chunk_rows` rows are in time order inside, so that they may be cut."""
        ...

    def time_range(self, time: str) -> TimeRange:
        """First and last time, and the rows without one."""
        ...

    def count_times(self, time: str, start: int, width: int, n_buckets: int) -> IntArray:
        """Rows per bucket of time, see `planning.chunks.CountTimes`."""
        ...

    def within(self, column: str, start: int, stop: int) -> Source:
        """Only the rows in the range ``[start, stop)`` of a column; asked of tables whose rows have a second order."""
        ...

    def times_between(self, time: str, start: int, stop: int) -> IntArray:
        """All times in ``[start, stop)``, in any order."""
        ...

    def times_of_rows(self, time: str, start: int, stop: int) -> tuple[IntArray, int]:
        """Times of the row groups that hold source rows ``[start, stop)``, and the number of their first row."""
        ...

    def read(self, chunk: Chunk, columns: Sequence[str], *, time: str | None, texts: TextBudget | None = None) -> pa.Table:
        """Exactly the chunk's rows in the job's order (time, then source), with their `row_number` as the first column.

        Texts that do not keep to their budget are refused before all of them are read, where a source can tell.
        """
        ...
