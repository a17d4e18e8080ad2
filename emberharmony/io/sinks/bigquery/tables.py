"""The tables that a run publishes, and their rows as files that BigQuery takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from emberharmony.errors import DataError
from emberharmony.io.bigquery.column_types import converted, written_as
from emberharmony.io.bigquery.connection import library
from emberharmony.io.bigquery.identifiers import column_names
from emberharmony.io.bigquery.schema import table_fields
from emberharmony.io.parts import own_columns, own_schema
from emberharmony.io.store.base import FileRecord, Store
from emberharmony.planning.partitions import Granularity

SPLIT = "split"
RUN_ID = "run_id"
OWN_COLUMNS = (SPLIT, RUN_ID)
"""Columns of every table, behind those of its parts."""
SLICE = "slice"
"""Column of tables that slices share, behind these."""
_DESCRIPTIONS: Final = {
    SPLIT: "train, validation, test or apply",
    RUN_ID: "Id of the run, whose line is in the table `runs`",
    SLICE: "Name of the slice that the row was published with",
}


class Part(NamedTuple):
    """One Parquet file of a table: the rows of one split that one chunk made."""

    store: Store
    file: FileRecord | str
    split: str

    @property
    def schema(self) -> pa.Schema:
        """The schema of the file."""
        with self.store.open(self.file) as handle:
            return own_schema(pq.read_schema(handle))

    @property
    def address(self) -> str:
        """Address of the file."""
        return self.store.address_of(self.file)

    @property
    def footer(self) -> Any:
        """The Parquet metadata of the file."""
        with self.store.open(self.file) as handle:
            return pq.read_metadata(handle)

    @property
    def n_bytes(self) -> int:
        """Bytes of the file."""
        return self.store.size(self.file) or 0

    def read(self) -> pa.Table:
        """Return all rows of the file."""
        with self.store.open(self.file) as handle:
            return own_columns(pq.ParquetFile(handle).read())


@dataclass(frozen=True)
class OutputTable:
    """A table to publish: its parts in order, and what its columns are."""

    name: str
    parts: tuple[Part, ...]
    rows: Mapping[str, int]  # by split, as the manifest has them
    run_id: str = ""
    time: str | None = None  # column to partition by
    entity: str | None = None
    description: str = ""
    descriptions: Mapping[str, str] = field(default_factory=dict)  # by column
    slice: str | None = None  # name, in a table that slices share

    @property
    def own_columns(self) -> tuple[str, ...]:
        """Columns behind those of the parts."""
        return own_columns_of(self.slice)

    @property
    def n_rows(self) -> int:
        """Rows of all splits."""
        return sum(self.rows.values())

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns as they are written: those of the parts, and `own_columns`."""
        schema = self.parts[0].schema.remove_metadata()
        columns = [pa.field(column.name, _in_files(column)) for column in schema]
        return pa.schema([*columns, *(pa.field(name, pa.string()) for name in self.own_columns)])

    @cached_property
    def names(self) -> list[str]:
        """Names of the columns in BigQuery, which allows fewer and ignores case; `own_columns` keep theirs."""
        own = self.own_columns
        return [*names_of(self.schema.names[: -len(own)], own), *own]

    def column(self, name: str) -> str:
        """Name in BigQuery of one column."""
        position: int = self.schema.names.index(name)
        return self.names[position]

    @property
    def clustering(self) -> list[str]:
        """Columns to cluster by."""
        first = [SLICE] if self.slice is not None else []  # to replace one without scanning the others
        return [*first, *([self.column(self.entity)] if self.entity else []), SPLIT]

    def fields(self) -> list[Any]:
        """The `SchemaField`s, in order, each with what the column is."""
        n_own = len(self.own_columns)
        of_parts = pa.schema(list(self.schema)[:-n_own])
        return [*table_fields(of_parts, self.names[:-n_own], self.descriptions), *self.own_fields()]

    def own_fields(self) -> list[Any]:
        """The `SchemaField`s of `own_columns`."""
        own = self.own_columns
        return table_fields(pa.schema([(name, pa.string()) for name in own]), own, _DESCRIPTIONS)

    def read(self, part: Part) -> pa.Table:
        """Return a part's rows as they are written; no value is changed."""
        table = part.read()
        columns = [converted(column, name) for name, column in zip(table.column_names, table.columns, strict=True)]
        values = own_values(part.split, self.run_id, self.slice)
        own = [pa.repeat(values[name], table.num_rows) for name in self.own_columns]
        return pa.Table.from_arrays([*columns, *own], schema=self.named_schema)

    @cached_property
    def named_schema(self) -> pa.Schema:
        """The written columns under their names in BigQuery."""
        return pa.schema([column.with_name(name) for column, name in zip(self.schema, self.names, strict=True)])

    def finest_granularity(self, max_partitions: int) -> Granularity:
        """Return days if the table's times span at most `max_partitions` of them, else months, else years."""
        assert self.time is not None
        lows, highs = [], []
        for part in self.parts:
            footer = part.footer
            place = self.schema.names.index(self.time)  # of parts, which have no nested columns
            for group in range(footer.num_row_groups):
                found = footer.row_group(group).column(place).statistics
                if found is not None and found.has_min_max:
                    lows.append(found.min)
                    highs.append(found.max)
        days = (max(highs) - min(lows)).days + 1 if lows else 1
        return "DAY" if days <= max_partitions else "MONTH" if days <= 28 * max_partitions else "YEAR"

    def check_parts(self) -> None:
        """Compare the rows of the parts with the manifest's, before anything is sent.

        Raises
        ------
        DataError
            If they differ.
        """
        found = dict.fromkeys(self.rows, 0)
        for part in self.parts:
            found[part.split] = found.get(part.split, 0) + part.footer.num_rows
        if found != dict(self.rows):
            raise DataError(
                f"The parts of table {self.name!r} hold {found} rows, the manifest says {dict(self.rows)}; nothing was "
                f"published. Start again with --overwrite."
            )


def own_columns_of(slice_name: str | None) -> tuple[str, ...]:
    """Return the columns behind those of the parts: `OWN_COLUMNS`, and that of the slice if there is one."""
    return OWN_COLUMNS if slice_name is None else (*OWN_COLUMNS, SLICE)


def own_values(split: str, run_id: str, slice_name: str | None) -> dict[str, str]:
    """Return the values of these columns in a part's rows.

    Examples
    --------
    >>> own_values("train", "f1", None), own_values("apply", "f1", "2026-11-28")
    ({'split': 'train', 'run_id': 'f1'}, {'split': 'apply', 'run_id': 'f1', 'slice': '2026-11-28'})
    """
    return {SPLIT: split, RUN_ID: run_id} | ({} if slice_name is None else {SLICE: slice_name})


def names_of(columns: Sequence[str], own: Sequence[str] = OWN_COLUMNS) -> list[str]:
    """Return the names in BigQuery of a part's columns, beside a table's `own`.

    Examples
    --------
    >>> names_of(["row number", "Split"])
    ['row_number', 'Split_2']
    """
    return column_names([*own, *columns])[len(own) :]


def _in_files(column: pa.Field) -> pa.DataType:
    written = written_as(column.type)
    return column.type if written is None else written.in_files  # what is not written is refused when it is declared


def grouped(parts: Sequence[Part], *, max_bytes: int) -> Iterator[list[Part]]:
    """Yield neighbouring parts that together are about `max_bytes` long, so that each takes one load job."""
    group: list[Part] = []
    size = 0
    for part in parts:
        n_bytes = part.n_bytes
        if group and size + n_bytes > max_bytes:
            yield group
            group, size = [], 0
        group.append(part)
        size += n_bytes
    if group:
        yield group


def write_parquet(table: OutputTable, parts: Sequence[Part], path: Path) -> None:
    """Write parts as one Parquet file for BigQuery, one part in memory at a time."""
    with pq.ParquetWriter(path, table.named_schema, compression="zstd", coerce_timestamps="us") as writer:
        for part in parts:
            writer.write_table(table.read(part))


def partitioning(table: OutputTable, granularity: Granularity | None) -> Any | None:
    """Return the `TimePartitioning` of a table; ``None`` without a time column, or where none is wanted."""
    if table.time is None or granularity is None:
        return None
    bigquery = library("google.cloud.bigquery")
    return bigquery.TimePartitioning(type_=granularity, field=table.column(table.time))


def bigquery_table(name: str, table: OutputTable, granularity: Granularity | None, labels: Mapping[str, str]) -> Any:
    """Return the `Table` to create."""
    bigquery = library("google.cloud.bigquery")
    made = bigquery.Table(name, schema=table.fields())
    made.time_partitioning = partitioning(table, granularity)
    made.clustering_fields = table.clustering
    made.labels = dict(labels)
    made.description = table.description or None
    return made
