"""A table in Parquet files as the source of a job: planned from its footers, read by row groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import pyarrow as pa

from emberharmony.io.sources.base import TableInfo
from emberharmony.io.sources.parquet.catalogue import Catalogue
from emberharmony.io.sources.parquet.plan import ParquetPlanning
from emberharmony.io.sources.parquet.read import read_chunk
from emberharmony.io.sources.parquet.sample import sample_rows
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.io.sources.parquet.table import ParquetTable
from emberharmony.io.sources.text_budget import TextBudget
from emberharmony.planning.chunks import Chunk


class ParquetSource(ParquetPlanning):
    """A table of one or many Parquet files with one schema. Files are listed and footers read when first asked for."""

    def __init__(self, spec: ParquetSourceSpec, catalogue: Catalogue | None = None) -> None:
        super().__init__(ParquetTable(spec, catalogue))

    def describe(self) -> TableInfo:
        """Return the table's description, see `ParquetTable.describe`."""
        return self._table.describe()

    def with_catalogue(self, content: bytes) -> Self:
        """Return the table as it was when it was planned; files that have changed since are refused when they are read."""
        return type(self)(self._table.spec, Catalogue.from_bytes(content, self._table.places))

    def file_within(self, folder: str) -> str | None:
        """Return the address of a file of the table that lies within a folder."""
        return next(filter(None, (place.file_within(folder) for place in self._table.places)), None)

    def would_read(self, address: str) -> bool:
        """Whether a file at this address would be part of the table."""
        return any(place.would_take_in(address) for place in self._table.places)

    def read(self, chunk: Chunk, columns: Sequence[str], *, time: str | None, texts: TextBudget | None = None) -> pa.Table:
        """Return the chunk's rows, see `read_chunk`."""
        return read_chunk(self._table, chunk, columns, time=time, texts=texts)

    @property
    def sample_is_charged(self) -> bool:
        """``False``: reading files costs no more than their requests."""
        return False

    def sample(self, columns: Sequence[str], n_rows: int) -> pa.Table:
        """Return at most so many rows, see `sample_rows`."""
        return sample_rows(self._table, columns, n_rows)

    def files_of_rows(self, row_numbers: Sequence[int]) -> list[tuple[str, int]]:
        """Return the address of the file of each row, and the row's place in it."""
        first_rows = np.cumsum([0, *(file.n_rows for file in self._table.files)])
        # After files without rows, which begin where the next one does.
        numbers = np.searchsorted(first_rows, np.asarray(row_numbers, np.int64), side="right") - 1
        places = zip(numbers.tolist(), row_numbers, strict=True)
        return [(self._table.files[file].address, int(row - first_rows[file])) for file, row in places]
