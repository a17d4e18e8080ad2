"""A dataset for DuckDB, whose scans begin without a wait that could last for ever."""

from __future__ import annotations

from typing import Any, Self

import pyarrow as pa
import pyarrow.dataset as ds


class DuckDBDataset(ds.FileSystemDataset):  # type: ignore[misc]
    """A dataset as DuckDB scans it: it asks for a scanner with some columns and a filter, and that for a reader.

    pyarrow's own scanner makes a reader without letting other threads use Python, although it may wait for one of Arrow's
    threads; and that one, if a file system is written in Python, may wait for Python to open a file.
    """

    @classmethod
    def of(cls, dataset: ds.FileSystemDataset) -> Self:
        """Return the dataset as one for DuckDB."""
        return cls([*dataset.get_fragments()], dataset.schema, dataset.format, dataset.filesystem)

    def scanner(self, **settings: Any) -> _Scan:
        """Return a scan of some columns and rows."""
        return _Scan(super().scanner(**settings))


class _Scan:
    """A scan that lets other threads use Python while it waits."""

    def __init__(self, scanner: ds.Scanner) -> None:
        self._scanner = scanner

    @property
    def projected_schema(self) -> pa.Schema:
        """Columns of the scan."""
        return self._scanner.projected_schema

    def to_reader(self) -> pa.RecordBatchReader:
        """Begin to read."""
        return pa.RecordBatchReader.from_batches(self.projected_schema, self._scanner.to_batches())
