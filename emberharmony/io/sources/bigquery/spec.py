"""The settings of a source in BigQuery."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from emberharmony.io.bigquery.connection import BigQueryConnection
from emberharmony.io.bigquery.identifiers import ANY_PROJECT, TableName, parse_dataset, quote
from emberharmony.io.bigquery.parameters import checked_parameters
from emberharmony.io.bigquery.read import ReadSpec
from emberharmony.io.sources.bigquery.slice import filled
from emberharmony.io.sources.time_rows import TimeRows
from emberharmony.messages import check_distinct
from emberharmony.settings import Section
from emberharmony.slices import SliceTimes, placeholders_in


@dataclass(frozen=True)
class Pin:
    """The table and the snapshot time of the plan, so that every worker reads the same rows whatever is written meanwhile."""

    table: str  # or the copy that rows are read from
    read_at: dt.datetime
    content: str  # identifies the table's content
    key: str | None = None  # column that the copy has for its order: a hash of each row, or of its entity
    entity: tuple[str, ...] = ()  # columns that the key is a hash of, if it is not one of the row
    then: str | None = None  # column that orders the rows of an entity
    scanned_bytes: int | None = None  # by the query that makes the copy
    schema: str | None = None  # of the table, if the copy has fewer columns
    query: str | None = None  # that will make the copy, while it is not there


@dataclass(frozen=True)
class BigQuerySourceSpec(Section):
    """A table, a view or a query, and which of its rows and columns the job may use.

    `where` and `query` are the user's own SQL and run unchanged, with the user's rights; everything else is quoted or passed
    as a parameter. Rows of the same time are ordered by `order_by`, or by all columns. Chunks are ranges of the time column,
    or of the `key` in a job without one. Rows with neither are copied once, with a hash of their values; so are those of many
    series (`columns.entity`), with a hash of their entity. A large table that is neither partitioned nor clustered by the
    column is copied too, if there is a `temporary_dataset`.
    """

    type: Literal["bigquery"] = "bigquery"
    """The kind of source."""
    table: str | None = None
    """A table or view, `project.dataset.table`; or give a `query`."""
    query: str | None = None
    """A SELECT of your own, instead of a `table`."""
    parameters: Mapping[str, object] = field(default_factory=dict, hash=False)
    """Values of `@name` in `query`; dates and times as they are, other types as `{type: NUMERIC, value: '0.1'}`."""
    where: str | None = None
    """A condition of your own, in SQL: only rows that meet it are read."""
    columns: tuple[str, ...] | None = None
    """The only columns that are read and billed; by default all."""
    order_by: tuple[str, ...] = ()
    """Columns that order rows of the same time; by default all columns, which must then be read."""
    key: str | None = None
    """Column of whole numbers or times that chunks are ranges of, in a job without `columns.time`."""
    snapshot_time: dt.datetime | None = None
    """The moment at which the table is read, with its zone; by default that of the plan."""
    temporary_dataset: str | None = None
    """Dataset for copies that expire: of views, queries, many series, tables without time and key, and large tables."""
    temporary_hours: float = 24.0
    """How long a copy is kept after a run has last begun on it, from 0.1 to 720."""
    usd_per_tib: float | None = 6.25
    """US dollars for a TiB that a query scans, in the plan's estimates: by default the list price of the US; null for none."""
    pin: Pin | None = None
    """Set by the plan, not by you."""
    profile: Literal["stream", "query"] = "stream"
    """Profile the rows as they are read, exactly, or by one statement: cheaper, medians and rare categories approximate."""
    read: ReadSpec = field(default_factory=ReadSpec)
    """How a range is read."""
    connection: BigQueryConnection = field(default_factory=BigQueryConnection)
    """How to reach BigQuery."""

    rows: TimeRows | None = None
    """Set by the slice that is run, not by you."""

    def __post_init__(self) -> None:
        """Refuse contradictory settings."""
        if (self.table is None) == (self.query is None):
            raise ValueError("A BigQuery source is either a `table` (or view) or a `query`; give one of the two.")
        if self.table is not None and not placeholders_in(self.table):
            TableName.parse(self.table, project=self.connection.project or ANY_PROJECT)
        if self.query is not None and not self.query.strip():
            raise ValueError("`query` is empty; write a SELECT, or name a `table`.")
        if self.temporary_dataset is not None:
            parse_dataset(self.temporary_dataset, project=self.connection.project or ANY_PROJECT)
        if self.parameters and self.query is None:
            raise ValueError("`parameters` are those of `query`; a table has none.")
        object.__setattr__(self, "parameters", checked_parameters(self.parameters))
        if self.snapshot_time is not None and self.snapshot_time.tzinfo is None:
            raise ValueError(f"snapshot_time {self.snapshot_time} has no time zone; write it with one, such as ...Z.")
        if self.snapshot_time is not None and self.query is not None:
            raise ValueError("`snapshot_time` is of a `table`; in a `query`, write FOR SYSTEM_TIME AS OF behind its tables.")
        if not 0.1 <= self.temporary_hours <= 24 * 30:
            raise ValueError(f"temporary_hours lies between 0.1 and 720, got {self.temporary_hours}.")
        if self.usd_per_tib is not None and not 0 <= self.usd_per_tib < math.inf:
            raise ValueError(f"usd_per_tib is a price of 0 or more, or null; got {self.usd_per_tib}.")
        check_distinct(self.columns, key="columns")
        check_distinct(self.order_by or None, key="order_by")
        for name in (*(self.columns or ()), *self.order_by, *filter(None, [self.key])):
            quote(name)

    def __str__(self) -> str:
        """Name the table."""
        return self.table or "a query"

    def query_usd(self, scanned_bytes: int) -> float | None:
        """Return what a query that scans so many bytes costs; ``None`` without a price."""
        return None if self.usd_per_tib is None else scanned_bytes / 2**40 * self.usd_per_tib

    @property
    def has_order(self) -> bool:
        """Whether rows have an order without a time column; those of BigQuery need a `key` for that."""
        return self.key is not None

    @property
    def order_text(self) -> str:
        """The order of a job without a time column, for the plan report."""
        return f"by {self.key}" if self.key else "none: by a hash of each row's content"

    @property
    def profiles_by_query(self) -> bool:
        """Whether a statement profiles the table, so that no training row is read for it."""
        return self.profile == "query"

    @property
    def addresses(self) -> tuple[str, ...]:
        """The table as a URI; a query has none."""
        return (f"bigquery://{self.table.strip().replace('.', '/')}",) if self.table else ()

    @property
    def is_remote(self) -> bool:
        """``True``: rows come from a server."""
        return True

    @property
    def texts(self) -> Mapping[str, str | Sequence[str]]:
        """Settings that may name the slice that is run, by `{slice}`."""
        given = {"table": self.table, "query": self.query, "where": self.where}
        return {key: text for key, text in given.items() if text is not None}

    def of_slice(self, times: SliceTimes, column: str | None) -> Self:
        """Return the settings of the rows of a slice.

        Raises
        ------
        PlanError
            If rows before the slice are read as well, and a text that names the slice leaves them out.
        """
        texts = {key: filled(str(text), key, times) for key, text in self.texts.items()}
        rows = None if column is None else TimeRows(column, times.slice_from, times.slice.stop)
        return replace(self, **texts, rows=rows)  # type: ignore[arg-type]

    def check_credentials(self) -> None:
        """Refuse missing or unusable credentials; see `BigQueryConnection.check_credentials`."""
        self.connection.check_credentials()
