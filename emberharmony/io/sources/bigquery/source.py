"""A BigQuery table as the job's source: planned from counts, read by key range, all at one snapshot time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from emberharmony.arrow import ticks
from emberharmony.errors import DataError, PlanError
from emberharmony.features.columns import ROW_NUMBER, FeatureColumn
from emberharmony.features.kinds.registry import kind_of
from emberharmony.io.bigquery.connection import Clients, shared_clients
from emberharmony.io.bigquery.identifiers import TableName, parse_dataset, quote
from emberharmony.io.bigquery.parameters import checked_parameters
from emberharmony.io.bigquery.queries import query_row, query_table, table_of
from emberharmony.io.bigquery.read import read_rows
from emberharmony.io.bigquery.schema import arrow_schema, bigquery_type, bytes_per_row, schema_text
from emberharmony.io.sources.base import RowOrder, TableInfo, TimeRange, no_rows
from emberharmony.io.sources.bigquery.keys import KEY_TYPES, Key
from emberharmony.io.sources.bigquery.materialise import ROW_HASH, materialised, statement, warn_of_scans, with_row_hash
from emberharmony.io.sources.bigquery.order import sort_rows
from emberharmony.io.sources.bigquery.profile import ColumnFigures, ProfileSpec, profile_table
from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec, Pin
from emberharmony.io.sources.text_budget import TextBudget
from emberharmony.planning.chunks import Chunk
from emberharmony.planning.partitions import TimePartitions
from emberharmony.typing import IntArray


class BigQuerySource:
    """A table, read at one snapshot time.

    Parameters
    ----------
    by : str, optional
        Column that the job orders the rows by, `ROW_HASH` where it has none: how a copy is laid out, if one is made.
    """

    def __init__(self, spec: BigQuerySourceSpec, clients: Clients | None = None, *, by: str | None = None) -> None:
        self._spec = spec
        self._by = spec.pin.key if spec.pin else by
        self._within = ""
        self._clients = clients or shared_clients(spec.connection)

    def pin(self, time: str | None) -> BigQuerySourceSpec:
        """Return the spec with the table and the time of the snapshot, for every worker to read the same rows.

        Rows that nothing orders are copied first, with a hash of each; see `materialise.with_row_hash`.
        """
        ordered = BigQuerySource(self._spec, self._clients, by=time or self._spec.key or ROW_HASH)
        key = ROW_HASH if ordered._is_hashed else None
        return replace(self._spec, pin=Pin(str(ordered._table), ordered._snapshot, ordered._content, key))

    def describe(self) -> TableInfo:
        """Return the table's description; counts its rows, which is free where there is no `where`."""
        n_rows = int(self._ask("COUNT(*) AS n")["n"])
        ties = tuple(name for name in self._tie_columns if name in self._schema.names)
        widths = bytes_per_row(self._schema, self._metadata)
        return TableInfo(
            self._schema,
            n_rows,
            self._identity(n_rows),
            widths,
            ties,
            self._spec.read.in_flight_bytes,
            name=f"{self._name}, where {self._spec.where}," if self._spec.where else self._name,
        )

    def order(self, time: str | None) -> RowOrder:
        """By `time`, or, without one, by the key."""
        key = self._key(time or self._key_name)
        partitions = self._partitions(key)
        if partitions is None and not self._is_copy:
            warn_of_scans(self._metadata, key.name)
        return RowOrder(key.name, key.resolution, partitions, then=self._second_order(key.name))

    def is_all_null(self, column: str) -> bool:
        """Not told by a table's metadata."""
        return False

    def time_range(self, time: str) -> TimeRange:
        """First and last time, and the rows without one; scans the time column."""
        column = self._key(time)
        found = self._ask(
            f"MIN({column.ticks_sql}) AS first, MAX({column.ticks_sql}) AS last, COUNTIF({column.sql} IS NULL) AS n_null"
        )
        if found["first"] is None:
            raise DataError(f"Column {time!r} of {self._name}, which its rows are ordered by, is null in all of them.")
        return TimeRange(int(found["first"]), int(found["last"]), int(found["n_null"]))

    def count_times(self, time: str, start: int, width: int, n_buckets: int) -> IntArray:
        """Rows per bucket of time, counted where the data is; scans the time column of the range."""
        column = self._key(time)
        where = self._condition(column.between(start, start + width * n_buckets))
        bucket, parameters = column.bucket_sql(start, width, n_buckets)
        table = query_table(
            self._clients,
            f"SELECT {bucket} AS _eh_bucket, COUNT(*) AS _eh_n\nFROM {self._from}\nWHERE {where}\nGROUP BY _eh_bucket",
            doing=f"Counting the rows of {self._name} by {time}",
            parameters=parameters,
        )
        counts = np.zeros(n_buckets, np.int64)
        counts[table["_eh_bucket"].to_numpy()] = table["_eh_n"].to_numpy()
        return counts

    def within(self, column: str, start: int, stop: int) -> BigQuerySource:
        """Only the rows in a range of a column."""
        narrow = copy(self)
        narrow._within = self._key(column).between(start, stop)
        return narrow

    def times_between(self, time: str, start: int, stop: int) -> IntArray:
        """All times in ``[start, stop)``."""
        found = self._read([time], self._key(time).between(start, stop))[time]
        return ticks(found)[0]

    def read(self, chunk: Chunk, columns: Sequence[str], *, time: str | None, texts: TextBudget | None = None) -> pa.Table:
        """Exactly the chunk's rows in the job's order (time, then the columns that break ties), with their row numbers.

        Texts are planned by the table's logical size, and not measured again.
        """
        if not chunk.n_rows:
            return no_rows(self._schema, columns)
        by = time or self._key_name
        assert chunk.times is not None
        # Rows of one time differ in nothing that is asked for: no column is needed to tell them apart.
        ties = [name for name in self._tie_columns if name != by] if {*columns} - {by} else []
        names = list(dict.fromkeys([by, *ties, *columns]))
        condition, second = self._key(by).between(*chunk.times), self._second_order(by)
        if chunk.ties and second:
            condition += f" AND {self._key(second.column).between(*chunk.ties)}"
        table = self._read(names, condition)
        if table.num_rows != chunk.n_rows:
            raise DataError(
                f"{self._name}: {chunk} was planned with {chunk.n_rows:,} rows and {table.num_rows:,} came; the table was "
                f"replaced, or `where` does not always say the same. Start again with --overwrite."
            )
        rows = sort_rows(table, by=by, ties=ties).select(list(columns))
        numbers = np.arange(chunk.first_row, chunk.first_row + chunk.n_rows)
        return rows.add_column(0, ROW_NUMBER, pa.array(numbers, pa.int64()))

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
        """Profile columns where they are, of the rows with a time earlier than `before`; one scan."""
        key = self._key(time) if time else None
        rows = key.between(-(2**62), before) if key and before is not None else ""
        return profile_table(
            self._clients,
            self._from,
            columns,
            {column.name: bigquery_type(self._schema.field(column.name)) for column in columns},
            doing=f"Profiling {self._name}",
            where=self._condition(rows),
            spec=spec,
        )

    # ---- where it lies, and when ------------------------------------------------------------------------------------

    @cached_property
    def _given(self) -> TableName | None:
        spec = self._spec
        return TableName.parse(spec.table, project=self._clients.project) if spec.table else None

    @property
    def _is_hashed(self) -> bool:
        """Whether rows are read from a copy with a hash of each, in which `where` and `columns` have been seen to."""
        return self._by == ROW_HASH

    @cached_property
    def _is_copy(self) -> bool:
        if self._is_hashed or self._given is None:
            return True
        return table_of(self._clients, self._given).table_type not in ("TABLE", "SNAPSHOT", "CLONE")

    @property
    def _sql(self) -> str:
        spec = self._spec
        if not self._is_hashed:
            return spec.query or f"SELECT * FROM {self._given.sql if self._given else ''}"
        rows = f"({statement(spec.query)}\n)" if spec.query else self._given.sql if self._given else ""
        moment = f" FOR SYSTEM_TIME AS OF {_moment(spec.snapshot_time)}" if spec.snapshot_time else ""
        columns = dict.fromkeys([*spec.columns, *spec.order_by]) if spec.columns else ()
        return with_row_hash(rows + moment, tuple(columns), spec.where)

    @cached_property
    def _table(self) -> TableName:
        spec = self._spec
        if spec.pin is not None:
            return TableName.parse(spec.pin.table)
        if not self._is_copy and self._given is not None:
            return self._given
        if spec.snapshot_time is not None and not self._is_hashed:
            # The copy is made now, and was not there at an earlier moment.
            raise PlanError(
                f"{self._name} is a view: give it as `query`, with FOR SYSTEM_TIME AS OF behind the tables that it reads, "
                f"instead of `source.snapshot_time`."
            )
        if spec.temporary_dataset is None and self._is_hashed:
            raise PlanError(
                f"{_no_order(self._name)} Without an order, set `source.temporary_dataset` to a dataset in the same location, "
                f"in which this job may make a copy of the rows with a hash of each."
            )
        if spec.temporary_dataset is None:
            raise PlanError(
                "Views and queries are materialised before they are read, since every chunk would run them again: set "
                "`source.temporary_dataset` to a dataset in the same location that this job may create tables in."
            )
        return materialised(
            self._clients,
            self._sql,
            checked_parameters(spec.parameters),
            into=parse_dataset(spec.temporary_dataset, project=self._clients.project),
            hours=spec.temporary_hours,
            cluster_by=self._by,
        )

    @property
    def _name(self) -> str:
        return str(self._given or "The query")

    @cached_property
    def _metadata(self) -> Any:
        _ = self._snapshot  # first: a change after it is told from what was there at that moment, see `_content`
        return table_of(self._clients, self._table)

    @cached_property
    def _snapshot(self) -> dt.datetime:
        pin = self._spec.pin
        given = pin.read_at if pin else None if self._is_hashed else self._spec.snapshot_time
        if given is not None:
            return given.astimezone(dt.UTC)
        _ = self._table  # a copy has to be there before the moment at which it is read
        # BigQuery's own clock: a moment that has not come there yet is refused.
        now = query_row(self._clients, "SELECT UNIX_MICROS(CURRENT_TIMESTAMP()) AS now", doing="Asking for the time")["now"]
        return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=int(now))

    @property
    def _from(self) -> str:
        return f"{self._table.sql} FOR SYSTEM_TIME AS OF {_moment(self._snapshot)}"

    # ---- what it is --------------------------------------------------------------------------------------------------

    @cached_property
    def _schema(self) -> pa.Schema:
        schema = arrow_schema(self._metadata.schema)
        wanted = self._spec.columns
        for name in (*(wanted or ()), *self._spec.order_by, *filter(None, [self._spec.key])):
            if name not in schema.names:
                raise DataError(f"The source names column {name!r}, which {self._name} does not have.")
        known = {*(schema.names if wanted is None else wanted)} - {ROW_HASH if self._is_hashed else ""}
        return pa.schema([column for column in schema if column.name in known])

    @cached_property
    def _content(self) -> str:
        spec, table = self._spec, self._metadata
        if spec.pin is not None:
            return spec.pin.content
        if self._is_copy:
            return self._table.table  # its name is a hash of the query and of what the tables hold that it reads
        changed = table.modified.isoformat() if table.modified else "at some time"
        late = table.modified is not None and table.modified >= self._snapshot
        if spec.snapshot_time is not None or table.streaming_buffer is not None or late:
            # Rows that stream in change a table without a trace: only its moment tells what it held. Nor does a last change
            # that came after that moment.
            changed = self._snapshot.isoformat()
        return f"{self._table} of {changed}, {table.num_rows} rows"

    def _identity(self, n_rows: int) -> dict[str, Any]:
        spec = self._spec
        return {
            "type": "bigquery",
            "source": spec.query or str(self._given),
            "parameters": dict(spec.parameters),
            "content": self._content,
            "where": spec.where,
            "columns": self._schema.names,
            "schema": schema_text(self._metadata.schema),
            "order_by": list(spec.order_by),
            "key": spec.key,
            "n_rows": n_rows,
            **({"profile": spec.profile} if spec.profile != "stream" else {}),  # its medians are others
        }

    # ---- how it is asked ---------------------------------------------------------------------------------------------

    def _key(self, name: str) -> Key:
        return Key(name, bigquery_type(self._schema_of_all.field(name)))

    @cached_property
    def _schema_of_all(self) -> pa.Schema:
        return arrow_schema(self._metadata.schema)

    @property
    def _key_name(self) -> str:
        key = ROW_HASH if self._is_hashed else self._spec.key
        if key is None:
            raise PlanError(_no_order(self._name))
        return key

    def _second_order(self, by: str) -> RowOrder | None:
        """Order of rows alike in column `by`: by the first of `order_by`, if chunks can be ranges of it."""
        for name in [name for name in self._spec.order_by if name != by][:1]:
            if bigquery_type(self._schema_of_all.field(name)) in KEY_TYPES:
                return RowOrder(name, self._key(name).resolution)
        return None

    def _partitions(self, key: Key) -> TimePartitions | None:
        """Partitions of the table by a column; those by the time of loading begin nowhere in it."""
        found = self._metadata.time_partitioning
        if found is None or (found.field or "").casefold() != key.name.casefold():
            return None
        return TimePartitions(found.type_, unit="s" if key.kind == "DATE" else "us")

    @cached_property
    def _tie_columns(self) -> list[str]:
        if self._spec.order_by:
            return list(self._spec.order_by)
        return sorted(column.name for column in self._schema if kind_of(column.type) is not None)

    def _condition(self, condition: str = "") -> str:
        where = None if self._is_hashed else self._spec.where
        parts = (condition, self._within, f"({where}\n)" if where else "")
        return " AND ".join(filter(None, parts)) or "TRUE"

    def _ask(self, columns: str) -> dict[str, Any]:
        sql = f"SELECT {columns}\nFROM {self._from}\nWHERE {self._condition()}"
        return query_row(self._clients, sql, doing=f"Describing {self._name}")

    def _read(self, columns: list[str], condition: str) -> pa.Table:
        for name in columns:
            quote(name)
        return read_rows(
            self._clients,
            self._table,
            columns=columns,
            restriction=self._condition(condition),
            snapshot=self._snapshot,
            spec=self._spec.read,
        )


def _no_order(table: str) -> str:
    return (
        f"Rows of {table} have no order of their own: set `columns.time` to the column that orders them, or `source.key` to a "
        f"column of whole numbers or times."
    )


def _moment(time: dt.datetime) -> str:
    return f"TIMESTAMP '{time.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S.%f}+00:00'"
