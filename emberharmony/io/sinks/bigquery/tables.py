"""The tables that a run publishes, and their rows as files that BigQuery takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

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

    @property
    def n_rows(self) -> int:
        """Rows of all splits."""
        return sum(self.rows.values())

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns as they are written: those of the parts, the split and the run's id."""
        schema = self.parts[0].schema.remove_metadata()
        columns = [pa.field(column.name, _in_files(column)) for column in schema]
        return pa.schema([*columns, *(pa.field(name, pa.string()) for name in OWN_COLUMNS)])

    @cached_property
    def names(self) -> list[str]:
        """Names of the columns in BigQuery, which allows fewer and ignores case; `OWN_COLUMNS` keep theirs."""
        return [*names_of(self.schema.names[: -len(OWN_COLUMNS)]), *OWN_COLUMNS]

    def column(self, name: str) -> str:
        """Name in BigQuery of one column."""
        position: int = self.schema.names.index(name)
        return self.names[position]

    @property
    def clustering(self) -> list[str]:
        """Columns to cluster by."""
        return [*([self.column(self.entity)] if self.entity else []), SPLIT]

    def fields(self) -> list[Any]:
        """The `SchemaField`s, in order, each with what the column is."""
        n_own = len(OWN_COLUMNS)
        of_parts = pa.schema(list(self.schema)[:-n_own])
        return [*table_fields(of_parts, self.names[:-n_own], self.descriptions), *self.own_fields()]

    def own_fields(self) -> list[Any]:
        """The `SchemaField`s of `OWN_COLUMNS`."""
        descriptions = {SPLIT: "train, validation, test or apply", RUN_ID: "Id of the run, whose line is in the table `runs`"}
        return table_fields(pa.schema([(name, pa.string()) for name in OWN_COLUMNS]), OWN_COLUMNS, descriptions)

    def read(self, part: Part) -> pa.Table:
        """Return a part's rows as they are written; no value is changed."""
        table = part.read()
        columns = [converted(column, name) for name, column in zip(table.column_names, table.columns, strict=True)]
        own = [pa.repeat(value, table.num_rows) for value in (part.split, self.run_id)]
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


def names_of(columns: Sequence[str]) -> list[str]:
    """Return the names in BigQuery of a part's columns, beside `OWN_COLUMNS`.

    Examples
    --------
    >>> names_of(["row number", "Split"])
    ['row_number', 'Split_2']
    """
    return column_names([*OWN_COLUMNS, *columns])[len(OWN_COLUMNS) :]


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
