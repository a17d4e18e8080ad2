"""A BigQuery table as its metadata describe it: where it lies, the snapshot that is read, and its columns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Container
from copy import copy
from functools import cached_property
from typing import Any

import pyarrow as pa

from emberharmony.errors import DataError, PlanError
from emberharmony.features.kinds.registry import kind_of
from emberharmony.io.bigquery.connection import Clients, shared_clients
from emberharmony.io.bigquery.identifiers import TableName, parse_dataset
from emberharmony.io.bigquery.parameters import checked_parameters
from emberharmony.io.bigquery.queries import query_row, table_of
from emberharmony.io.bigquery.schema import bigquery_type, bytes_per_row, flat_fields, schema_text
from emberharmony.io.sources.base import RowOrder, TableInfo
from emberharmony.io.sources.bigquery.keys import KEY_TYPES, Key
from emberharmony.io.sources.bigquery.materialise import ROW_HASH, materialised, statement, with_row_hash
from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec, Pin
from emberharmony.nested import Path, clash, outer_columns, outer_names, path_of
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
    """

    def __init__(self, spec: BigQuerySourceSpec, clients: Clients | None = None, *, by: str | None = None) -> None:
        self.spec = spec
        self.clients = clients or shared_clients(spec.connection)
        self._by = spec.pin.key if spec.pin else by
        self._range = ""

    def pin(self) -> Pin:
        """Return the table and the snapshot time that are read here."""
        return Pin(str(self.table), self.snapshot, self._content, ROW_HASH if self._is_hashed else None)

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
            self._identity(n_rows),
            bytes_per_row(self.schema, self.metadata),
            always_read=tuple(name for name in self.tie_columns if name in self.schema.names),
            in_flight_bytes=self.spec.read.in_flight_bytes,
            name=f"{self.name}, where {self.spec.where}," if self.spec.where else self.name,
            unreadable=self._clashes,
        )

    # ---- where it lies, and which snapshot is read -------------------------------------------------------------------

    @cached_property
    def _given(self) -> TableName | None:
        spec = self.spec
        return TableName.parse(spec.table, project=self.clients.project) if spec.table else None

    @property
    def _is_hashed(self) -> bool:
        """Whether rows are read from a copy with a hash of each, which `where` and `columns` are already applied to."""
        return self._by == ROW_HASH

    @cached_property
    def is_copy(self) -> bool:
        """Whether rows are read from a copy that this job makes: of a view, a query, or rows without an order."""
        if self._is_hashed or self._given is None:
            return True
        return table_of(self.clients, self._given).table_type not in ("TABLE", "SNAPSHOT", "CLONE")

    @property
    def _sql(self) -> str:
        spec = self.spec
        if not self._is_hashed:
            return spec.query or f"SELECT * FROM {self._given.sql if self._given else ''}"
        rows = f"({statement(spec.query)}\n)" if spec.query else self._given.sql if self._given else ""
        moment = f" FOR SYSTEM_TIME AS OF {_literal(spec.snapshot_time)}" if spec.snapshot_time else ""
        columns = dict.fromkeys([*spec.columns, *spec.order_by]) if spec.columns else ()
        return with_row_hash(rows + moment, tuple(columns), spec.where)

    @cached_property
    def table(self) -> TableName:
        """The table that rows are read from; makes the copy, if one is needed and not there yet.

        Raises
        ------
        PlanError
            If a copy is needed and the settings do not allow one.
        """
        spec = self.spec
        if spec.pin is not None:
            return TableName.parse(spec.pin.table)
        if not self.is_copy and self._given is not None:
            return self._given
        if spec.snapshot_time is not None and not self._is_hashed:
            # The copy is made now; it did not exist at an earlier time.
            raise PlanError(
                f"{self.name} is a view: give it as `query`, with FOR SYSTEM_TIME AS OF behind the tables that it reads, "
                f"instead of `source.snapshot_time`."
            )
        if spec.temporary_dataset is None and self._is_hashed:
            raise PlanError(
                f"{_no_order(self.name)} Without an order, set `source.temporary_dataset` to a dataset in the same location, "
                f"in which this job may make a copy of the rows with a hash of each."
            )
        if spec.temporary_dataset is None:
            raise PlanError(
                "Views and queries are materialised before they are read, since every chunk would run them again: set "
                "`source.temporary_dataset` to a dataset in the same location that this job may create tables in."
            )
        return materialised(
            self.clients,
            self._sql,
            checked_parameters(spec.parameters),
            into=parse_dataset(spec.temporary_dataset, project=self.clients.project),
            hours=spec.temporary_hours,
            cluster_by=self._by,
        )

    @property
    def name(self) -> str:
        """The table's name in messages."""
        return str(self._given or "The query")

    @cached_property
    def metadata(self) -> Any:
        """BigQuery's metadata of the table that is read."""
        _ = self.snapshot  # first: a change after it differs from what was there at that time, see `_content`
        return table_of(self.clients, self.table)

    @cached_property
    def snapshot(self) -> dt.datetime:
        """The time at which the table is read."""
        pin = self.spec.pin
        given = pin.read_at if pin else None if self._is_hashed else self.spec.snapshot_time
        if given is not None:
            return given.astimezone(dt.UTC)
        _ = self.table  # a copy has to exist before the time at which it is read
        # BigQuery's own clock: it refuses a time that is in its future.
        now = query_row(self.clients, "SELECT UNIX_MICROS(CURRENT_TIMESTAMP()) AS now", doing="Asking for the time")["now"]
        return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=int(now))

    @property
    def sql(self) -> str:
        """What stands behind FROM."""
        return f"{self.table.sql} FOR SYSTEM_TIME AS OF {_literal(self.snapshot)}"

    # ---- its columns and content -------------------------------------------------------------------------------------

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns that the job may use, with the types that rows are read as."""
        schema, wanted = self._schema_of_all, self.spec.columns
        known = {*schema.names, *outer_columns(schema)}
        for name in (*(wanted or ()), *self.spec.order_by, *filter(None, [self.spec.key])):
            if name not in known:
                raise DataError(f"The source names column {name!r}, which {self.name} does not have.")
        hash_of_row = ROW_HASH if self._is_hashed else ""
        return pa.schema([column for column in schema if column.name != hash_of_row and _is_wanted(column, wanted)])

    @cached_property
    def _content(self) -> str:
        spec, table = self.spec, self.metadata
        if spec.pin is not None:
            return spec.pin.content
        if self.is_copy:
            return self.table.table  # its name is a hash of the query and of the content of the tables that it reads
        changed = table.modified.isoformat() if table.modified else "at some time"
        late = table.modified is not None and table.modified >= self.snapshot
        if spec.snapshot_time is not None or table.streaming_buffer is not None or late:
            # Streamed rows change a table without changing its metadata, and a last change after the snapshot says nothing
            # about it: the table is identified by its snapshot time.
            changed = self.snapshot.isoformat()
        return f"{self.table} of {changed}, {table.num_rows} rows"

    def _identity(self, n_rows: int) -> dict[str, Any]:
        spec = self.spec
        return {
            "type": "bigquery",
            "source": spec.query or str(self._given),
            "parameters": dict(spec.parameters),
            "content": self._content,
            "where": spec.where,
            "columns": self.schema.names,
            "schema": schema_text(self.metadata.schema),
            "order_by": list(spec.order_by),
            "key": spec.key,
            "n_rows": n_rows,
            **({"profile": spec.profile} if spec.profile != "stream" else {}),  # a query's medians are approximate
        }

    # ---- its order ---------------------------------------------------------------------------------------------------

    def key(self, name: str) -> Key:
        """Return a column that chunks are ranges of.

        Raises
        ------
        PlanError
            If its type has no ranges of integers.
        """
        return Key(name, bigquery_type(self._schema_of_all.field(name)), self.dotted(name))

    @property
    def key_name(self) -> str:
        """The column that orders the rows in a job without a time column.

        Raises
        ------
        PlanError
            If there is none.
        """
        key = ROW_HASH if self._is_hashed else self.spec.key
        if key is None:
            raise PlanError(_no_order(self.name))
        return key

    def second_order(self, by: str) -> RowOrder | None:
        """Return the order of rows that are equal in column `by`: the first of `order_by`, if chunks can be ranges of it."""
        for name in [name for name in self.spec.order_by if name != by][:1]:
            if bigquery_type(self._schema_of_all.field(name)) in KEY_TYPES:
                return RowOrder(name, self.key(name).resolution)
        return None

    def partitions(self, key: Key) -> TimePartitions | None:
        """Return the table's partitions by a column; partitions by load time are ranges of no column."""
        found = self.metadata.time_partitioning
        if found is None or (found.field or "").casefold() != key.name.casefold():
            return None
        return TimePartitions(found.type_, unit="s" if key.kind == "DATE" else "us")

    @cached_property
    def tie_columns(self) -> list[str]:
        """Columns that order rows of the same time."""
        if self.spec.order_by:
            return list(self.spec.order_by)
        return sorted(column.name for column in self.schema if kind_of(column.type) is not None)

    @cached_property
    def _schema_of_all(self) -> pa.Schema:
        first: dict[str, pa.Field] = {}
        for field in self._flat_fields:
            first.setdefault(field.name, field)
        return pa.schema(list(first.values()))

    @cached_property
    def _flat_fields(self) -> list[pa.Field]:
        return flat_fields(self.metadata.schema)

    @cached_property
    def _clashes(self) -> dict[str, str]:
        """Columns that get one name once structs are flat, and what to say of them."""
        paths: dict[str, list[Path]] = {}
        for field in self._flat_fields:
            paths.setdefault(field.name, []).append(path_of(field))
        said = {name: clash(*found) for name, found in paths.items() if len(found) > 1}
        return {name: f"{self.name}: {text}, or leave it out with columns.drop." for name, text in said.items()}

    def dotted(self, name: str) -> str:
        """Return the path of a column, as BigQuery names fields of a STRUCT."""
        return ".".join(map(str, path_of(self._schema_of_all.field(name))))

    # ---- how it is queried -------------------------------------------------------------------------------------------

    def condition(self, condition: str = "") -> str:
        """Return the SQL condition on the rows of this table that also meet `condition`."""
        where = None if self._is_hashed else self.spec.where
        parts = (condition, self._range, f"({where}\n)" if where else "")
        return " AND ".join(filter(None, parts)) or "TRUE"

    def ask(self, columns: str) -> dict[str, Any]:
        """Return the one row of a query for aggregates of the whole table."""
        sql = f"SELECT {columns}\nFROM {self.sql}\nWHERE {self.condition()}"
        return query_row(self.clients, sql, doing=f"Describing {self.name}")


def _is_wanted(column: pa.Field, wanted: Container[str] | None) -> bool:
    return wanted is None or any(name in wanted for name in (column.name, *outer_names(path_of(column))))


def _no_order(table: str) -> str:
    return (
        f"Rows of {table} have no order of their own: set `columns.time` to the column that orders them, or `source.key` to a "
        f"column of whole numbers or times."
    )


def _literal(time: dt.datetime) -> str:
    return f"TIMESTAMP '{time.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S.%f}+00:00'"
