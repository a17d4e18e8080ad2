"""What a sink does unless its vendor needs something else: nothing besides what the store commits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import pyarrow as pa

from emberharmony.io.manifest import Manifest
from emberharmony.io.sinks.base import SinkSpec
from emberharmony.io.store.base import Store

S = TypeVar("S", bound=SinkSpec)


class BaseSink(Generic[S]):
    """Defaults of the protocol `emberharmony.io.sinks.base.Sink`: nothing is refused or changed; results are replaced."""

    def __init__(self, spec: S) -> None:
        self._spec = spec

    @property
    def keep_versions(self) -> int:
        """How many earlier results the store keeps."""
        return self._spec.keep_versions

    @property
    def report(self) -> bool:
        """Whether a page that shows the run is written beside its result."""
        return self._spec.report

    @property
    def own_folders(self) -> tuple[str, ...]:
        """No folders: the store commits all files."""
        return ()

    def check_credentials(self) -> None:
        """Do nothing: the store of the result finds out whether it can be reached."""

    def check_columns(self, schema: pa.Schema, carried: Sequence[str]) -> None:
        """Do nothing: columns of every type that a source reads can be published."""

    def check_features(self, names: Sequence[str], carried: Sequence[str]) -> None:
        """Do nothing: features of any name can be published, or get names that the destination allows."""

    def check(self) -> None:
        """Do nothing: the store finds out whether the folder can be written."""

    def check_values(self, rows: pa.Table, carried: Sequence[str]) -> None:
        """Do nothing: every value can be published, or `as_written` refuses it."""

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
