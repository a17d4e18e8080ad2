"""A BigQuery table as the source of a job: planned from counts, read by key range, all at one snapshot time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pyarrow as pa

from emberharmony.errors import PlanError, TerminalError
from emberharmony.features.columns import FeatureColumn
from emberharmony.io.bigquery.connection import Clients
from emberharmony.io.bigquery.identifiers import TableName
from emberharmony.io.bigquery.metadata import find
from emberharmony.io.bigquery.queries import table_of
from emberharmony.io.bigquery.schema import bigquery_type
from emberharmony.io.sources.base import ColumnFigures, TableInfo
from emberharmony.io.sources.bigquery.materialise import ROW_HASH, Series, can_cluster, is_scattered
from emberharmony.io.sources.bigquery.plan import BigQueryPlanning
from emberharmony.io.sources.bigquery.planned_copy import PlannedCopy
from emberharmony.io.sources.bigquery.profile import ProfileSpec, profile_table
from emberharmony.io.sources.bigquery.read import read_chunk, read_where
from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec
from emberharmony.io.sources.bigquery.table import BigQueryTable
from emberharmony.io.sources.text_budget import TextBudget
from emberharmony.planning.chunks import Chunk


class BigQuerySource(BigQueryPlanning):
    """A table, view or query, read at one snapshot time; see `BigQueryTable` for the parameters."""

    def __init__(self, spec: BigQuerySourceSpec, clients: Clients | None = None, *, by: str | None = None) -> None:
        is_planned = spec.pin is not None and spec.pin.query is not None
        super().__init__(PlannedCopy(spec, clients) if is_planned else BigQueryTable(spec, clients, by=by))

    def pin(self, time: str | None) -> BigQuerySourceSpec:
        """Return the spec with the table and the time of the snapshot, for every worker to read the same rows.

        Rows that nothing orders are copied first, with a hash of each; see `materialise.with_keys`.
        """
        spec = self._table.spec
        ordered = BigQueryTable(spec, self._table.clients, by=time or spec.key or ROW_HASH)
        return replace(spec, pin=ordered.pin())

    @property
    def arranging_setting(self) -> str:
        """The dataset that a copy is made in."""
        return "source.temporary_dataset"

    def arranges(self, entity: Sequence[str], time: str | None) -> bool:
        """Whether there is a dataset for copies, and many series, or a table that every chunk would scan."""
        spec, given = self._table.spec, self._table.given
        if spec.temporary_dataset is None:
            return False
        column = time or spec.key
        if entity or column is None or given is None:
            return bool(entity)
        table = table_of(self._table.clients, given)
        return not self._table.is_copy and can_cluster(table, column) and is_scattered(table, column)

    def arrange(
        self,
        entity: Sequence[str],
        time: str | None,
        needed: Callable[[pa.Schema], Collection[str]],
        *,
        make: bool = True,
    ) -> BigQuerySourceSpec:
        """Copy the needed columns, clustered by a hash of the entity, if there is one, and by time, unless the copy is there.

        The settings that are returned read the copy. One of a single series has all columns that order rows of the same time.
        The copy of a query with parameters is always made: planning would have to pass them on.
        """
        spec = self._table.spec
        make = make or bool(spec.parameters)
        series = Series(tuple(entity), time or spec.key or ROW_HASH, needed)
        return replace(spec, pin=BigQueryTable(spec, self._table.clients, series=series, make=make).pin())

    def describe(self) -> TableInfo:
        """Return the table's description, see `BigQueryTable.describe`."""
        with self._copy_noticed():
            return self._table.describe()

    def within(self, column: str, start: int, stop: int) -> BigQueryPlanning:
        """Return what planning asks of only those rows whose value of `column` lies in ``[start, stop)``."""
        return BigQueryPlanning(self._table.between(column, start, stop))

    def times_of(self, chunk: Chunk, time: str) -> tuple[int, int] | None:
        """Return the chunk's range of times: rows are read by ranges."""
        return chunk.times

    def read(self, chunk: Chunk, columns: Sequence[str], *, time: str | None, texts: TextBudget | None = None) -> pa.Table:
        """Return the chunk's rows, see `read_chunk`.

        The budget `texts` is not needed: strings are planned by the table's logical size, which counts every one of them.
        """
        with self._copy_noticed():
            return read_chunk(self._table, chunk, columns, time=time)

    @property
    def sample_is_charged(self) -> bool:
        """``True``: the Storage Read API charges what it sends."""
        return True

    def sample(self, columns: Sequence[str], n_rows: int) -> pa.Table:
        """Return at most so many rows, the first of a few streams that divide the table.

        Raises
        ------
        PlanError
            If the rows lie in a copy that the job has not made yet, and its source is no table that could be read instead.
        """
        table = self._table
        if not table.is_made:
            table = BigQueryTable(replace(table.spec, pin=None), table.clients)
            if table.is_copy:
                raise PlanError(
                    f"{table.name} is no table, and the copy that the job reads is not made yet, so no rows can be sampled. "
                    f"Leave out --sample."
                )
        with self._copy_noticed():
            return read_where(table, [*columns], most_rows=n_rows)

    @contextmanager
    def _copy_noticed(self) -> Iterator[None]:
        """Say so if reading fails because the copy is gone."""
        try:
            yield
        except TerminalError as error:
            pin, clients = self._table.spec.pin, self._table.clients
            if pin is None or pin.scanned_bytes is None or find(clients, TableName.parse(pin.table)) is not None:
                raise
            raise TerminalError(
                f"The copy {pin.table}, from which the job reads, has expired or was removed. Run the same command again, "
                f"which makes the copy again; set `source.temporary_hours` to more than {self._table.spec.temporary_hours:g} "
                f"to keep it longer."
            ) from error

    def profile_by_query(
        self, columns: Sequence[FeatureColumn], *, time: str, before: int, top: int
    ) -> dict[str, ColumnFigures]:
        """Return figures of the columns over the rows earlier than `before`, in one scan; medians are approximate."""
        return self.profile(columns, time=time, before=before, spec=ProfileSpec(top=top))

    def profile(
        self,
        columns: Sequence[FeatureColumn],
        *,
        time: str | None,
        before: int | None = None,
        spec: ProfileSpec | None = None,
    ) -> dict[str, ColumnFigures]:
        """Profile columns in BigQuery, over the rows with a time earlier than `before`; one scan."""
        table = self._table
        key = table.key(time) if time else None
        rows = key.between(-(2**62), before) if key and before is not None else ""
        return profile_table(
            table.clients,
            table.sql,
            columns,
            {column.name: bigquery_type(table.schema.field(column.name)) for column in columns},
            paths={column.name: table.dotted(column.name) for column in columns},
            doing=f"Profiling {table.name}",
            where=table.condition(rows),
            spec=spec,
        )
