"""The contract of a snapshot: one published result, whatever is published in its place while it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from emberharmony.io.manifest import Manifest
from emberharmony.io.store.base import FileRecord


@dataclass(frozen=True)
class Version:
    """A result that is published, or an earlier one that was kept."""

    name: str
    """What `open_result(sink, version=...)` takes."""
    created: str  # ISO 8601, UTC
    fingerprint: str
    n_bytes: int
    is_current: bool


@dataclass(frozen=True)
class Leftover:
    """What a result's place holds besides the published result and the versions to keep."""

    name: str
    """Within the result's place."""
    what: str
    n_bytes: int
    modified: str  # ISO 8601, UTC


class Snapshot(Protocol):
    """A published result as it was when it was opened. Every file is of its manifest, or there is an error.

    Snapshots can be pickled: the copy opens the same version again.

    Raises
    ------
    DataError
        By `open` and `get`, if a file is missing or damaged, or the version was removed meanwhile.
    TransientError, TerminalError
        By `open` and `get`, if the store cannot be read.
    """

    @property
    def address(self) -> str:
        """Where the result is."""
        ...

    @property
    def version(self) -> str:
        """Name of the version."""
        ...

    @property
    def manifest(self) -> Manifest:
        """The manifest of the version."""
        ...

    def open(self, file: FileRecord) -> pa.NativeFile:
        """Open a file of the manifest for reading at any place; only the bytes that are asked for are read."""
        ...

    def get(self, file: FileRecord) -> bytes:
        """Return the content of a file of the manifest."""
        ...
