"""A table of a published result, for whichever library reads it."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, reduce
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import fs

from emberharmony.errors import DataError, MissingLibraryError, PlanError
from emberharmony.io.store.base import FileRecord
from emberharmony.io.store.snapshot import Snapshot
from emberharmony.messages import did_you_mean, shown
from emberharmony.published.duckdb_dataset import DuckDBDataset
from emberharmony.published.snapshot_files import SnapshotFiles

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import polars as pl

BATCH_ROWS = 65_536

_PARTITION_TYPES = {"stride": pa.int32(), "split": pa.string()}
"""Columns that are in the folders' names, and not in the files."""


@dataclass(frozen=True)
class PublishedTable:
    """The features of a result, or its windows of one stride: rows of a split in their order, one split after the other.

    Beside the columns of its files it has the column ``split``, and windows have ``stride``. All its files are of one version,
    also while another result takes its place.

    Examples
    --------
    For the result of the demo::

        features = open_result("data/flights-features").features("train")
        features.to_polars().select("distance").mean().collect()
        features.to_duckdb().filter("carrier_UA = 1").aggregate("avg(arr_delay)")
        for batch in features.to_batches(["distance", "arr_delay"]):
            ...  # a pyarrow.RecordBatch
    """

    snapshot: Snapshot
    files: tuple[FileRecord, ...]
    """Its files; without any, the table has no rows."""
    schema_of: FileRecord
    """A file with the columns of the table."""

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns of the table."""
        with self._damage_named(), self.snapshot.open(self.schema_of) as file:
            schema: pa.Schema = pq.read_schema(file)
        for name in partitions_of(self.schema_of.name):
            schema = schema.append(pa.field(name, _PARTITION_TYPES[name]))
        return schema.remove_metadata()

    def dataset(self) -> ds.Dataset:
        """Return the table as a dataset of pyarrow. Nothing but one footer is read before it is asked for rows.

        For DuckDB take `to_duckdb`: see `DuckDBDataset`.
        """
        return ds.FileSystemDataset.from_paths(
            [file.name for file in self.files],
            schema=self.schema,
            format=ds.ParquetFileFormat(),
            filesystem=fs.PyFileSystem(SnapshotFiles(self.snapshot, self.files)),
            partitions=[_guarantee(partitions_of(file.name)) for file in self.files],
        )

    def to_batches(self, columns: Sequence[str] | None = None, *, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Yield the table in batches; memory does not grow with the table, but with its row groups.

        Parameters
        ----------
        columns : sequence of str, optional
            Columns to read; all by default.
        batch_rows : int
            Rows of a batch, at most.

        Raises
        ------
        PlanError
            If there is no such column.
        DataError
            If a file is missing or damaged, or the version was removed meanwhile.
        """
        with self._damage_named():
            names = self._known(columns) or self.schema.names
            for file in self.files:
                yield from self._batches_of(file, names, batch_rows)

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the table in memory, with the given columns or all; raises what `to_batches` does."""
        with self._damage_named():
            return self.dataset().to_table(columns=self._known(columns))

    def to_pandas(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the table as a frame of pandas, in memory; as in ``pandas.read_parquet``, ``split`` is categorical."""
        table = self.to_arrow(columns)
        for place, name in enumerate(table.column_names):
            if name in partitions_of(self.schema_of.name):
                table = table.set_column(place, name, table[name].dictionary_encode())
        frame: pd.DataFrame = table.to_pandas()
        return frame

    def to_polars(self) -> pl.LazyFrame:
        """Return the table as a lazy frame of polars: ``collect`` reads the columns and row groups that the query needs.

        Raises
        ------
        MissingLibraryError
            If polars is not installed.
        """
        frame: pl.LazyFrame = _library("polars").scan_pyarrow_dataset(self.dataset())
        return frame

    def to_duckdb(self, connection: duckdb.DuckDBPyConnection | None = None) -> duckdb.DuckDBPyRelation:
        """Return the table as a relation of DuckDB, which reads the columns and row groups that a query needs.

        Parameters
        ----------
        connection : DuckDBPyConnection, optional
            Connection that the relation is for; by default DuckDB's own.

        Raises
        ------
        MissingLibraryError
            If DuckDB is not installed.
        """
        library = _library("duckdb")
        relation: duckdb.DuckDBPyRelation = (connection or library).from_arrow(DuckDBDataset.of(self.dataset()))
        return relation

    def _batches_of(self, file: FileRecord, names: Sequence[str], batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yield one file in batches.

        Not by way of the dataset, whose threads read ahead: a process that ends before they do waits for them forever.
        """
        values = {name: pa.scalar(value).cast(_PARTITION_TYPES[name]) for name, value in partitions_of(file.name).items()}
        schema = pa.schema([self.schema.field(name) for name in names])
        with self.snapshot.open(file) as handle:
            parts = pq.ParquetFile(handle, pre_buffer=True)
            for rows in parts.iter_batches(batch_rows, columns=[name for name in names if name not in values]):
                n_rows = rows.num_rows
                arrays = [pa.repeat(values[name], n_rows) if name in values else rows[name] for name in names]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _known(self, columns: Sequence[str] | None) -> list[str] | None:
        for name in columns or ():
            if name not in self.schema.names:
                raise PlanError(f"{self.snapshot.address} has no column {shown(name)}.{did_you_mean(name, self.schema.names)}")
        return None if columns is None else [*columns]

    @contextmanager
    def _damage_named(self) -> Iterator[None]:
        """Translate what Arrow says of files that are no Parquet any more."""
        try:
            yield
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{self.snapshot.address} is damaged: {error}. Publish again with --overwrite.") from error


def partitions_of(name: str) -> dict[str, str]:
    """Columns that the folders of a file's name hold, and their values.

    Examples
    --------
    >>> partitions_of("windows/stride=3/split=test/part-00000.parquet")
    {'stride': '3', 'split': 'test'}
    """
    return {column: value for column, is_one, value in (part.partition("=") for part in name.split("/")) if is_one}


def _guarantee(partitions: Mapping[str, str]) -> ds.Expression:
    """What is true of all rows of a file."""
    equal = (ds.field(name) == pa.scalar(value).cast(_PARTITION_TYPES[name]) for name, value in partitions.items())
    return reduce(operator.and_, equal)


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingLibraryError(
            f"`to_{name}` needs {name}, which is not installed. Install it: pip install {name}"
        ) from error
