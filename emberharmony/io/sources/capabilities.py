"""What some sources can do besides reading chunks: planning asks a source for it by these protocols."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol, runtime_checkable

import pyarrow as pa

from emberharmony.features.columns import FeatureColumn
from emberharmony.io.sources.base import ColumnFigures, SeriesTotals, Source, SourceSpec, TimeCounts
from emberharmony.stats.key_counts import KeyCounts
from emberharmony.typing import IntArray


@runtime_checkable
class RowGroups(Protocol):
    """Rows are stored in groups, which may already be in the job's order: then nothing has to be counted."""

    def row_groups(self, time: str | None) -> IntArray | None:
        """Return the number of rows of each group if the groups follow one another in the job's order, else ``None``."""
        ...

    def is_sorted_within(self, time: str, chunk_rows: int) -> bool:
        """Whether groups of more than `chunk_rows` rows are in time order inside, so that chunks may divide them."""
        ...

    def rows_touched(self, time: str, ranges: Sequence[tuple[int, int]]) -> int:
        """Return the rows of the groups that have to be decoded to read each of several ranges of time."""
        ...

    def times_of_rows(self, time: str, start: int, stop: int) -> tuple[IntArray, int]:
        """Return the times of the groups that hold rows ``[start, stop)``, and the number of their first row."""
        ...


@runtime_checkable
class StoredFiles(Protocol):
    """The table lies in files on a disk or in a bucket, among which no result may be written."""

    def file_within(self, folder: str) -> str | None:
        """Return the address of a file of the table that lies within a folder, given by its address; ``None`` if none does."""
        ...

    def would_read(self, address: str) -> bool:
        """Whether a Parquet file at this address, if it existed, would be part of the table."""
        ...


@runtime_checkable
class Sampled(Protocol):
    """A few rows can be read without a plan, in time and memory that do not grow with the table."""

    @property
    def sample_is_charged(self) -> bool:
        """Whether the vendor charges for the bytes of a sample."""
        ...

    def sample(self, columns: Sequence[str], n_rows: int) -> pa.Table:
        """Return at most `n_rows` rows in the order in which they lie; all, if the table has no more."""
        ...


@runtime_checkable
class RowsInFiles(Protocol):
    """Where a row is stored can be told from its number."""

    def files_of_rows(self, row_numbers: Sequence[int]) -> list[tuple[str, int]]:
        """Return the address of the file of each row, and the row's place in it, from 0."""
        ...


@runtime_checkable
class Catalogued(Protocol):
    """Describing the table takes long. What planning found out travels with the plan, as `TableInfo.catalogue` makes it."""

    def with_catalogue(self, content: bytes) -> Source:
        """Return the table that was planned, without looking at it; reading refuses what has changed since.

        Parameters
        ----------
        content : bytes
            What `TableInfo.catalogue` returned.
        """
        ...


@runtime_checkable
class Pinned(Protocol):
    """Others may change the table while a job runs: every worker has to read the version that was planned."""

    def pin(self, time: str | None) -> SourceSpec:
        """Return the settings that read the table as it is now, for a job in the order of `time`."""
        ...


@runtime_checkable
class TiesOrdered(Protocol):
    """Rows of the same time have a second order (`RowOrder.then`), by which chunks can divide them."""

    def within(self, column: str, start: int, stop: int) -> TimeCounts:
        """Return the counts of only those rows whose value of `column` lies in ``[start, stop)``."""
        ...


@runtime_checkable
class ProfiledByQuery(Protocol):
    """The table can be profiled where it is stored, without reading its rows."""

    def profile_by_query(
        self, columns: Sequence[FeatureColumn], *, time: str, before: int, top: int
    ) -> Mapping[str, ColumnFigures]:
        """Return figures of each column over the rows earlier than `before`, with its `top` most frequent categories."""
        ...


@runtime_checkable
class ArrangedByServer(TiesOrdered, Protocol):
    """The server keeps a copy of the rows in the order of a job: no stage has to arrange them.

    The order of many series, ``Source.order(None)``, is that of the entities' keys: whole numbers in ``[0, 2**KEY_BITS)`` that
    the server has computed. An entity that exceeds a chunk is divided by the second order, which is that of its rows. A copy
    of one series is read as the table is, by ranges of its time or key.
    """

    @property
    def arranging_setting(self) -> str:
        """Name of the setting that allows a copy, for messages."""
        ...

    def arranges(self, entity: Sequence[str], time: str | None) -> bool:
        """Whether a job in the order of `entity` and `time` reads a copy: settings allow it, and it pays."""
        ...

    @property
    def is_arranged(self) -> bool:
        """Whether rows are read from a copy that is arranged by many series."""
        ...

    def arrange(
        self,
        entity: Sequence[str],
        time: str | None,
        needed: Callable[[pa.Schema], Collection[str]],
        *,
        make: bool = True,
    ) -> SourceSpec:
        """Return the settings that read the copy, after making it unless it is there.

        Parameters
        ----------
        entity : sequence of str
            Columns that name the entity; none if the rows are one series.
        time : str, optional
            Column that orders the rows of an entity.
        needed : callable
            Returns the columns of the table that the copy has to hold, given its schema.
        make : bool
            Whether to make a copy that is not there. Without it, a job can be planned on these settings, and no row be read.

        Raises
        ------
        PlanError
            If making it would scan more than the settings allow.
        """
        ...

    def series_totals(self) -> SeriesTotals:
        """Return what planning asks of all rows at once."""
        ...

    def count_keys(self, shift: int, *, inside: Sequence[int] = (), of_shift: int = 0) -> KeyCounts:
        """Return the number of rows in ranges of ``2**shift`` keys: all, or those inside some wider ranges.

        Parameters
        ----------
        shift : int
            Bits that the ranges leave open.
        inside : sequence of int
            Wider ranges: their keys without the last `of_shift` bits.
        of_shift : int
            Bits that these leave open.
        """
        ...

    def count_ties(self, keys: Sequence[int], start: int, width: int, n_buckets: int) -> Mapping[int, KeyCounts]:
        """Return the numbers of rows in buckets of what orders them, for each of some keys; buckets are numbered from 0."""
        ...
