"""The published files of a result in a bucket, all of the version that was current when the first of them was read."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import BufferedIOBase
from typing import cast

from emberharmony.io.manifest import MANIFEST, file_names
from emberharmony.io.store.base import FileRecord
from emberharmony.io.store.object_store import ObjectStore


@dataclass(frozen=True)
class PublishedObjects(ObjectStore):
    """Reads files by the names that they are published by; a prefix without a manifest is read as it is.

    The manifest is read once. So all files are of one version, however often the result is replaced meanwhile; once that
    version is removed, they are missing.
    """

    @cached_property
    def _manifest(self) -> bytes | None:
        found = self.objects.get(self.prefix.key_of(MANIFEST))
        return None if found is None else found[0]

    @cached_property
    def _names(self) -> dict[str, str]:
        """Where files are below the prefix, by the names that they are published by."""
        return file_names(self._manifest) if self._manifest is not None else {}

    def find(self, name: str) -> bytes | None:
        """Return the content of a file; ``None`` if there is no such file."""
        return self._manifest if name == MANIFEST else super().find(name)

    def get(self, file: str | FileRecord) -> bytes:
        """Return the content of a file."""
        if file == MANIFEST and self._manifest is not None:
            return self._manifest
        return super().get(file)

    @contextmanager
    def open(self, file: str | FileRecord) -> Iterator[BufferedIOBase]:
        """Open a file for reading."""
        if file == MANIFEST and self._manifest is not None:
            yield cast(BufferedIOBase, io.BytesIO(self._manifest))
            return
        with super().open(file) as handle:
            yield handle

    def size(self, file: str | FileRecord) -> int | None:
        """Bytes of a file; ``None`` if there is no such file."""
        if file == MANIFEST:
            return None if self._manifest is None else len(self._manifest)
        return super().size(file)

    def sha256(self, file: str | FileRecord) -> str | None:
        """SHA-256 of a file's content, in hexadecimal; ``None`` if there is no such file."""
        if file == MANIFEST:
            return None if self._manifest is None else hashlib.sha256(self._manifest).hexdigest()
        return super().sha256(file)

    def address_of(self, file: str | FileRecord) -> str:
        """Address of a file, for messages."""
        return (self.prefix.root / self._key(file)).shown

    def _key(self, file: str | FileRecord) -> str:
        name = file if isinstance(file, str) else file.name
        return self.prefix.key_of(self._names.get(name, name))
