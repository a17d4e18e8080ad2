"""The sink of Parquet files: the store commits all that there is to publish."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from emberharmony.io.manifest import Manifest
from emberharmony.io.sinks.base import fitted_outputs, output
from emberharmony.io.sinks.parquet.spec import ParquetSinkSpec
from emberharmony.io.store.base import Store


class ParquetSink:
    """A folder of Parquet files: it holds columns of any type, and needs nothing besides the files."""

    def __init__(self, spec: ParquetSinkSpec) -> None:
        self._spec = spec

    @property
    def keep_versions(self) -> int:
        """How many earlier results the store keeps."""
        return self._spec.keep_versions

    @property
    def own_folders(self) -> tuple[str, ...]:
        """No folders: the store commits all files."""
        return ()

    def check_credentials(self) -> None:
        """Do nothing: files need no credentials."""

    def check_columns(self, schema: pa.Schema, carried: Sequence[str]) -> None:
        """Do nothing: Parquet holds columns of every type that a source reads."""

    def check_features(self, names: Sequence[str], carried: Sequence[str]) -> None:
        """Do nothing: Parquet holds features of any name."""

    def check(self) -> None:
        """Do nothing: the store finds out whether the folder can be written."""

    def check_values(self, rows: pa.Table, carried: Sequence[str]) -> None:
        """Do nothing: Parquet holds every value."""

    def as_written(self, columns: pa.Table) -> pa.Table:
        """Return the columns unchanged."""
        return columns

    def as_part(self, rows: pa.Table, *, split: str, run_id: str) -> pa.Table:
        """Return the rows unchanged."""
        return rows

    def staged(self, run: Store) -> Store:
        """Return the run's own store."""
        return run

    def accumulates(self, published: Store) -> bool:
        """Return False: a result in this folder is replaced as a whole."""
        return False

    def check_published(self, published: Store, manifest: Manifest) -> None:
        """Do nothing: the rows are in the folder itself."""

    def publish(self, run: Store, manifest: Manifest, *, state: str) -> None:
        """Do nothing: the store commits the files."""

    def outputs(self, manifest: Manifest) -> tuple[str, ...]:
        """Folders and files of a published result."""
        path = self._spec.path
        features = [output(path, manifest, "features")] if manifest.holds_rows else []
        windows = [output(path, manifest, "windows")] if manifest.holds_rows and manifest.strides else []
        return (*features, *windows, *fitted_outputs(path, manifest))
