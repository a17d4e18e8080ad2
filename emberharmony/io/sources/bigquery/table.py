"""A BigQuery table as its metadata describe it: where it lies, the snapshot that is read, and its columns."""

from __future__ import annotations

import datetime as dt
from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import Any

import pyarrow as pa

from emberharmony.errors import DataError, PlanError
from emberharmony.io.bigquery.connection import Clients, shared_clients
from emberharmony.io.bigquery.identifiers import TableName, as_of, parse_dataset
from emberharmony.io.bigquery.parameters import checked_parameters
from emberharmony.io.bigquery.queries import query_row, table_of
from emberharmony.io.bigquery.schema import bigquery_type, bytes_per_row, clashes, flat_fields, schema_fields, schema_text
from emberharmony.io.sources.base import RowOrder, TableCopy, TableInfo
from emberharmony.io.sources.bigquery.content import PartitionState, content_of, identity_of, partitions_of
from emberharmony.io.sources.bigquery.keys import KEY_TYPES, Key
from emberharmony.io.sources.bigquery.materialise import (
    ENTITY_KEY,
    ROW_HASH,
    Copy,
    Series,
    checked_dataset,
    materialised,
    no_order,
    schema_of,
    selected,
    statement,
    with_keys,
)
from emberharmony.io.sources.bigquery.order import sortable
from emberharmony.io.sources.bigquery.slice import slice_condition
from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec, Pin
from emberharmony.nested import outer_columns, outer_names, path_of
from emberharmony.planning.partitions import TimePartitions


class BigQueryTable:
    """A table, view or query at one snapshot time. BigQuery is asked when an answer is first needed.

    Parameters
    ----------
    spec : BigQuerySourceSpec
        The settings.
    clients : Clients, optional
        The connection; by default this process's own, see `shared_clients`.
    by : str, optional
        Column that the job orders the rows by, or `ROW_HASH` if it has none. A copy of a view or query is clustered by it.
    series : Series, optional
        The series that the rows form: they are read from a copy that is arranged by them.
    make : bool
        Whether to make a copy that is not there, rather than pin the query that will make it.
    """

    is_made = True
    """Whether its rows can be read."""

    def __init__(
        self,
        spec: BigQuerySourceSpec,
        clients: Clients | None = None,
        *,
        by: str | None = None,
        series: Series | None = None,
        make: bool = True,
    ) -> None:
        self.spec = spec
        self.clients = clients or shared_clients(spec.connection)
        self.series = Series(spec.pin.entity, spec.pin.then) if spec.pin and spec.pin.then else series
        self._by = spec.pin.key if spec.pin else ENTITY_KEY if series and series.entity else by
        self._make = make
        self._range = ""

    def pin(self) -> Pin:
        """Return the table and the snapshot time that are read here."""
        pin = Pin(str(self.table), self.snapshot, self._content, self._by if self._has_keys else None)
        if self.is_copy:
            pin = replace(pin, scanned_bytes=self._copy.scanned_bytes)
        if self.series is None:
            return pin
        series, query = self.series, None if self._copy.is_made else self._sql
        return replace(pin, entity=series.entity, then=series.then, schema=schema_text(self._fields), query=query)

    def between(self, column: str, start: int, stop: int) -> BigQueryTable:
        """Return the table of only those rows whose value of `column` lies in ``[start, stop)``."""
        narrow = copy(self)
        narrow._range = self.key(column).between(start, stop)
        return narrow

    def describe(self) -> TableInfo:
        """Return the table's description; counts its rows, which is free without `where`."""
        n_rows = int(self.ask("COUNT(*) AS n")["n"])
        return TableInfo(
            self.schema,
            n_rows,
            identity_of(self.spec, self.given, self._content, self.schema.names, schema_text(self._fields), n_rows),
            self.row_bytes,
            always_read=tuple(name for name in self.order_columns if name in self.schema.names),
            in_flight_bytes=self.spec.read.in_flight_bytes,
            name=f"{self.name}, where {self.spec.where}," if self.spec.where else self.name,
            unreadable=self._clashes,
            copy=self.described_copy,
        )

    @property
    def row_bytes(self) -> dict[str, float]:
        """Decoded bytes of a value of each column."""
        return bytes_per_row(self.schema, self.metadata)

    # ---- where it lies, and which snapshot is read -------------------------------------------------------------------

    @cached_property
    def given(self) -> TableName | None:
        spec = self.spec
        return TableName.parse(spec.table, project=self.clients.project) if spec.table else None

    @property
    def _has_keys(self) -> bool:
        """Whether rows are read from a copy with keys, see `with_keys`."""
        return self._by in (ROW_HASH, ENTITY_KEY)

    @property
    def _is_narrowed(self) -> bool:
        """Whether rows are read from a copy to which `where` and `columns` are already applied."""
        return self._has_keys or self.series is not None

    def _is_key(self, name: str) -> bool:
        """Whether a column is a key that the copy has beside the table's columns."""
        return self._has_keys and name in (ROW_HASH, ENTITY_KEY)

    @cached_property
    def is_copy(self) -> bool:
        """Whether rows are read from a copy that this job makes: of a view, a query, rows without an order, or series."""
        if self._is_narrowed or self.given is None:
            return True
        return table_of(self.clients, self.given).table_type not in ("TABLE", "SNAPSHOT", "CLONE")

    @property
    def _sql(self) -> str:
        spec = self.spec
        if not self._is_narrowed:
            return (
                f"SELECT * FROM {self._rows}\nWHERE {self._slice}"
                if spec.rows
                else spec.query or f"SELECT * FROM {self._rows}"
            )
        if self.series is None:
            columns = dict.fromkeys([*spec.columns, *spec.order_by]) if spec.columns else ()
            return with_keys(self._rows, tuple(columns), self._where)
        if not self.series.entity:
            return selected(self._rows, self._copied_columns, self._where)
        entity = [self.dotted(name) for name in self.series.entity]
        return with_keys(self._rows, self._copied_columns, self._where, of_rows=self.series.then == ROW_HASH, entity=entity)

    @property
    def _rows(self) -> str:
        """What stands behind FROM where rows are copied with keys."""
        spec = self.spec
        rows = f"({statement(spec.query)}\n)" if spec.query else self.given.sql if self.given else ""
        return rows + (as_of(spec.snapshot_time) if spec.snapshot_time else "")

    @property
    def _copied_columns(self) -> list[str]:
        """The columns of the table that a job needs, structs whole, in the table's order.

        Of many series, all columns that are copied order ties; rows of one series keep the order that they have in the table.
        """
        assert self.series is not None
        assert self.series.needed is not None
        schema = self.schema
        needed = {*self.series.needed(schema), *self.series.entity, self.series.then, *self.spec.order_by}
        if not (self.series.entity or self.spec.order_by):
            needed |= {*sortable(schema)}
        return list(dict.fromkeys(str(path_of(field)[0]) for field in self._schema_of_all if field.name in needed))

    @cached_property
    def table(self) -> TableName:
        """The table that rows are read from; makes the copy, if one is needed and not there yet.

        Raises
        ------
        PlanError
            If a copy is needed and the settings do not allow one.
        """
        if self.spec.pin is not None:
            return TableName.parse(self.spec.pin.table)
        return self.given if not self.is_copy and self.given is not None else self._copy.name

    @cached_property
    def _copy(self) -> Copy:
        spec, table = self.spec, self.given if self.series else None
        dataset = checked_dataset(spec, self.name, has_keys=self._is_narrowed)
        return materialised(
            self.clients,
            self._sql,
            checked_parameters(spec.parameters),
            into=parse_dataset(dataset, project=self.clients.project),
            hours=spec.temporary_hours,
            cluster_by=list(filter(None, [self._by, self.series.then if self.series else None])),
            make=self._make,
            state=self._partitions(table_of(self.clients, table)) if table else None,
            is_table=table is not None,
        )

    @property
    def described_copy(self) -> TableCopy | None:
        """The copy that rows are read from, once it is pinned."""
        pin, table = self.spec.pin, self.metadata
        if pin is None or pin.scanned_bytes is None:
            return None
        usd, stored = self.spec.query_usd(pin.scanned_bytes), int(table.num_bytes or 0)
        return TableCopy(pin.table, pin.scanned_bytes, stored, table.expires, usd, is_arranged=self.series is not None)

    @property
    def name(self) -> str:
        """The table's name in messages."""
        return str(self.given or "The query")

    @cached_property
    def metadata(self) -> Any:
        """BigQuery's metadata of the table that is read."""
        _ = self.snapshot  # first: a change after it differs from what was there at that time, see `_content`
        return table_of(self.clients, self.table)

    @cached_property
    def snapshot(self) -> dt.datetime:
        """The time at which the table is read."""
        pin = self.spec.pin
        given = pin.read_at if pin else None if self._is_narrowed else self.spec.snapshot_time
        if given is not None:
            return given.astimezone(dt.UTC)
        _ = self.table  # a copy has to exist before the time at which it is read
        # BigQuery's own clock: it refuses a time that is in its future.
        now = query_row(self.clients, "SELECT UNIX_MICROS(CURRENT_TIMESTAMP()) AS now", doing="Asking for the time")["now"]
        return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=int(now))

    @property
    def sql(self) -> str:
        """What stands behind FROM."""
        return self.table.sql + as_of(self.snapshot)

    # ---- its columns, content and order ------------------------------------------------------------------------------

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns that the job may use, with the types that rows are read as."""
        schema, wanted = self._schema_of_all, self.spec.columns
        known = {*schema.names, *outer_columns(schema)}
        for name in (*(wanted or ()), *self.spec.order_by, *filter(None, [self.spec.key])):
            if name not in known:
                raise DataError(f"The source names column {name!r}, which {self.name} does not have.")
        columns = [column for column in schema if not self._is_key(column.name)]
        return pa.schema([one for one in columns if wanted is None or {one.name, *outer_names(path_of(one))} & {*wanted}])

    @cached_property
    def _content(self) -> str:
        if self.spec.pin is not None:
            return self.spec.pin.content
        if self.is_copy:
            return self.table.table  # its name is a hash of the query and of the content of the tables that it reads
        table, is_past = self.metadata, self.spec.snapshot_time is not None
        partitions = None if is_past else self._partitions(table)
        return content_of(self.table, table, self.snapshot, partitions, is_past=is_past)

    def _partitions(self, table: Any) -> list[PartitionState] | None:
        rows = self.spec.rows
        return partitions_of(self.clients, self.given, table, rows, self._flat_fields) if rows and self.given else None

    def key(self, name: str) -> Key:
        """Return a column that chunks are ranges of.

        Raises
        ------
        PlanError
            If its type has no ranges of integers.
        """
        if self._is_key(name):
            return Key(name, "INT64")
        return Key(name, bigquery_type(self._schema_of_all.field(name)), self.dotted(name))

    @property
    def key_name(self) -> str:
        """The column that orders the rows in a job without a time column.

        Raises
        ------
        PlanError
            If there is none.
        """
        key = self._by if self._has_keys else self.spec.key
        if key is None:
            raise PlanError(no_order(self.name))
        return key

    def second_order(self, by: str) -> RowOrder | None:
        """Return the order of rows that are equal in column `by`, if chunks can be ranges of it.

        It is that of an entity's rows, or by the first of `order_by`.
        """
        if self.series is not None and by == ENTITY_KEY:
            return RowOrder(self.series.then, self.key(self.series.then).resolution)
        for name in [name for name in self.spec.order_by if name != by][:1]:
            if bigquery_type(self._schema_of_all.field(name)) in KEY_TYPES:
                return RowOrder(name, self.key(name).resolution)
        return None

    def partitions(self, key: Key) -> TimePartitions | None:
        """Return the table's partitions by a column; not those of the job's copy, which is planned before it is made."""
        found = self.metadata.time_partitioning
        if found is None or self.series is not None or (found.field or "").casefold() != key.name.casefold():
            return None
        return TimePartitions(found.type_, unit="s" if key.kind == "DATE" else "us")

    @cached_property
    def tie_columns(self) -> list[str]:
        """Columns that order rows of the same time."""
        if self.spec.order_by:
            return list(self.spec.order_by)
        there = flat_fields(self.metadata.schema) if self.series else self.schema
        names = {field.name for field in there}
        return sorted(name for name in sortable(self.schema) if name in names)

    @property
    def order_columns(self) -> list[str]:
        """Columns that order rows whose first key is the same, the most significant one first."""
        return [*self.series.entity, self.series.then, *self.tie_columns] if self.series else self.tie_columns

    @cached_property
    def _schema_of_all(self) -> pa.Schema:
        first: dict[str, pa.Field] = {}
        for field in self._flat_fields:
            first.setdefault(field.name, field)
        return pa.schema(list(first.values()))

    @cached_property
    def _flat_fields(self) -> list[pa.Field]:
        return flat_fields(self._fields)

    @cached_property
    def _fields(self) -> list[Any]:
        """The `SchemaField`s of the table, all of which a copy may not have."""
        if self.series is None:
            return list(self.metadata.schema)
        if self.spec.pin is not None and self.spec.pin.schema is not None:
            return schema_fields(self.spec.pin.schema)
        return self._fields_of_rows

    @cached_property
    def _clashes(self) -> dict[str, str]:
        """Columns that get one name once structs are flat, and what to say of them."""
        found = clashes(self._flat_fields).items()
        return {name: f"{self.name}: {text}, or leave it out with columns.drop." for name, text in found}

    def dotted(self, name: str) -> str:
        """Return the path of a column, as BigQuery names fields of a STRUCT."""
        if self._is_key(name):
            return name
        return ".".join(map(str, path_of(self._schema_of_all.field(name))))

    @property
    def has_place(self) -> str:
        """The SQL condition for rows that have a place among those of their entity; the others have no time, or no key."""
        assert self.series is not None
        return f"{self.key(self.series.then).sql} IS NOT NULL"

    def condition(self, condition: str = "") -> str:
        """Return the SQL condition on the rows of this table that also meet `condition`."""
        where = "" if self._is_narrowed else self._where
        return " AND ".join(filter(None, (condition, self._range, where))) or "TRUE"

    @property
    def _where(self) -> str:
        """The SQL condition of the settings: that of the slice, and the user's."""
        where = f"({self.spec.where}\n)" if self.spec.where else ""
        return " AND ".join(filter(None, (self._slice, where)))

    @cached_property
    def _slice(self) -> str:
        """The SQL condition on the rows of the slice; empty if the job reads all of the table's."""
        rows = self.spec.rows
        return slice_condition(rows, flat_fields(self._fields_of_rows), self.name) if rows else ""

    @property
    def _fields_of_rows(self) -> list[Any]:
        """The `SchemaField`s of the table, view or query, also before it is copied."""
        if self.spec.pin is not None or not self.is_copy:
            return self._fields
        return schema_of(self.clients, f"SELECT * FROM {self._rows}", checked_parameters(self.spec.parameters))

    def ask(self, columns: str) -> dict[str, Any]:
        """Return the one row of a query for aggregates of the whole table."""
        sql = f"SELECT {columns}\nFROM {self.sql}\nWHERE {self.condition()}"
        return query_row(self.clients, sql, doing=f"Describing {self.name}")
