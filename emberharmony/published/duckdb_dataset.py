"""A dataset for DuckDB, whose scans begin without a wait that could last for ever."""

from __future__ import annotations

from typing import Any, Self

import pyarrow as pa
import pyarrow.dataset as ds


class DuckDBDataset(ds.FileSystemDataset):  # type: ignore[misc]
    """A dataset as DuckDB scans it: DuckDB asks for a scanner of some columns and rows, and the scanner for a reader.

    pyarrow's own scanner keeps Python to itself while it makes a reader, and may wait for one of Arrow's threads meanwhile.
    That thread may wait for Python, to open a file of a file system that is written in Python.
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

    def to_reader(self) -> pa.RecordBatchReader:
        """Begin to read."""
        return pa.RecordBatchReader.from_batches(self._scanner.projected_schema, self._scanner.to_batches())
