"""The contract between jobs and the tables they read: settings, and a source. `capabilities` holds what only some can do.

Times are ticks: integers in the unit of the time column's Arrow type, see `emberharmony.arrow.ticks`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, Protocol, Self

import pyarrow as pa

from emberharmony.features.columns import ROW_NUMBER
from emberharmony.io.sources.text_budget import TextBudget
from emberharmony.planning.chunks import Chunk
from emberharmony.planning.partitions import TimePartitions
from emberharmony.slices import SliceTimes
from emberharmony.stats.moments import Moments
from emberharmony.typing import IntArray

KEY_BITS: Final = 62
"""Bits of the keys of entities that a server computes: the difference of two of them is a 64-bit number."""


@dataclass(frozen=True)
class TableCopy:
    """The copy that a table's rows are read from: where it lies, and what it costs."""

    name: str
    scanned_bytes: int  # by the query that makes it
    stored_bytes: int
    expires: dt.datetime | None
    scan_usd: float | None = None  # US dollars for the bytes that are scanned
    is_arranged: bool = False  # whether it was made because the table is in another order than the job
    is_made: bool = True  # whether it is there


@dataclass(frozen=True)
class TableInfo:
    """A table as its metadata describes it."""

    schema: pa.Schema
    n_rows: int
    identity: Mapping[str, Any]  # JSON; changes whenever the content does
    bytes_per_row: Mapping[str, float]  # by column, decoded
    always_read: tuple[str, ...] = ()  # columns that every chunk reads, because they order rows of the same time
    in_flight_bytes: int = 0  # while a chunk is read, in addition to its rows
    stored_bytes_per_row: Mapping[str, float] = field(default_factory=dict)  # where known: in files, equal values once
    name: str = "The table"  # in messages
    unreadable: Mapping[str, str] = field(default_factory=dict)  # columns that a job cannot use, and why
    copy: TableCopy | None = None  # that chunks are read from
    catalogue: Callable[[], bytes] | None = None  # makes what other processes open the same table with, see `Catalogued`

    def without_files(self) -> TableInfo:
        """Return the description without what it knows of each file."""
        return replace(self, identity={}, catalogue=None)


@dataclass(frozen=True)
class RowOrder:
    """The column that a table's rows are ordered by; chunks are ranges of it."""

    column: str
    resolution: int = 1  # smallest distance of two different values in ticks; a day for dates
    partitions: TimePartitions | None = None  # of the table by this column; a range inside one reads no other
    then: RowOrder | None = None  # second column, whose ranges divide rows that are equal in the first


@dataclass(frozen=True)
class TimeRange:
    """First and last time of a table's time column in ticks, and the number of rows without a time."""

    first: int
    last: int
    n_null: int


@dataclass(frozen=True)
class SeriesTotals:
    """What a server knows of the rows of all entities together."""

    n_entities: int  # about
    n_entities_null: int  # rows without any entity
    ties: TimeRange  # of the column that orders the rows of an entity


@dataclass(frozen=True)
class ColumnFigures:
    """What a query has found out about one column; figures that its kind does not use are empty."""

    name: str
    n_rows: int
    n_null: int
    n_nonfinite: int  # NaN and infinities; they are in none of the other figures
    moments: Moments
    quantiles: tuple[float, ...]  # approximate: minimum, the cuts, maximum
    top: tuple[tuple[str, int], ...]  # approximate in its last places; most frequent first


def no_rows(schema: pa.Schema, columns: Sequence[str]) -> pa.Table:
    """Return what `Source.read` returns for a chunk without rows."""
    return pa.schema([pa.field(ROW_NUMBER, pa.int64()), *map(schema.field, columns)]).empty_table()


class SourceSpec(Protocol):
    """Settings of a source, as a job file gives them: a frozen dataclass, listed in `registry.SOURCES`."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def type(self) -> str:
        """Name of the source's type in `registry.SOURCES`."""
        ...

    @property
    def has_order(self) -> bool:
        """Whether rows have an order in a job without a time column."""
        ...

    @property
    def order_text(self) -> str:
        """The order of a job without a time column, for the plan report."""
        ...

    @property
    def profiles_by_query(self) -> bool:
        """Whether the job asks for a profile by query; the source has to be `ProfiledByQuery`."""
        ...

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the table is: paths and addresses of files, or a URI; none if it is nowhere, as that of a query."""
        ...

    @property
    def is_remote(self) -> bool:
        """Whether a server has to be waited for to read the table."""
        ...

    @property
    def texts(self) -> Mapping[str, str | Sequence[str]]:
        """Settings that may name the slice that is run, by `{slice}`; by their keys."""
        ...

    def of_slice(self, times: SliceTimes, column: str | None) -> Self:
        """Return the settings that read the rows of a slice.

        Parameters
        ----------
        times : SliceTimes
            The slice, and when the rows begin that are read.
        column : str or None
            The time column that tells which rows these are; ``None`` if the settings' texts alone do.

        Raises
        ------
        PlanError
            If the settings cannot be of a slice.
        """
        ...

    def check_credentials(self) -> None:
        """Refuse missing or unusable credentials, before anything else is started.

        Raises
        ------
        TerminalError
            If the job cannot read the table with the credentials of this process.
        """
        ...

    def __str__(self) -> str:
        """Name of the table in messages."""
        ...


class TimeCounts(Protocol):
    """How many rows have which times."""

    def time_range(self, time: str) -> TimeRange:
        """Return the first and last time, and the number of rows without one."""
        ...

    def count_times(self, time: str, start: int, width: int, n_buckets: int) -> IntArray:
        """Return the number of rows in each bucket of time, see `planning.chunks.CountTimes`."""
        ...

    def times_between(self, time: str, ranges: Sequence[tuple[int, int]]) -> list[IntArray]:
        """Return all times in each of some ranges ``[start, stop)``, in any order."""
        ...


class Source(TimeCounts, Protocol):
    """A table that can be read chunk by chunk."""

    def describe(self) -> TableInfo:
        """Return the table's description from metadata alone. The table may have no rows."""
        ...

    def order(self, time: str | None) -> RowOrder | None:
        """Return the order of a job by `time`, or by the table's key; ``None`` if rows keep the order of their files."""
        ...

    def is_all_null(self, column: str) -> bool:
        """Whether `column` is known to be null in every row; ``False`` if finding out would cost a scan."""
        ...

    def times_of(self, chunk: Chunk, time: str) -> tuple[int, int] | None:
        """Return a range ``[from, to)`` of times in which the chunk's rows lie; ``None`` if finding out would cost a read."""
        ...

    def read(self, chunk: Chunk, columns: Sequence[str], *, time: str | None, texts: TextBudget | None = None) -> pa.Table:
        """Return exactly the chunk's rows in the job's order, with the `row_number` as the first column.

        Raises
        ------
        DataError
            If the table has changed since the plan, or its strings exceed the budget `texts`.
        """
        ...
