"""A version of a result in a bucket as it was when it was opened: its files never change, until it is removed."""

from __future__ import annotations

from io import BufferedReader
from typing import Any

import pyarrow as pa

from emberharmony.errors import DataError
from emberharmony.io.manifest import MANIFEST, Manifest, published_manifest, read_manifest
from emberharmony.io.store.address import BucketAddress
from emberharmony.io.store.base import FileRecord
from emberharmony.io.store.bucket import Bucket
from emberharmony.io.store.object_store import READ_BYTES, WHOLE_BYTES, ObjectFile, ObjectStore
from emberharmony.io.store.objects import Objects
from emberharmony.io.store.published_objects import PublishedObjects
from emberharmony.messages import did_you_mean

VERSIONS = ".versions"
"""Folder of the versions, below the result's prefix."""


class ObjectSnapshot:
    """One version of a result in a bucket; see the protocol `emberharmony.io.store.snapshot.Snapshot`."""

    def __init__(self, objects: Objects, prefix: BucketAddress, version: str, manifest: Manifest) -> None:
        self._objects = objects
        self._prefix = prefix
        self.version = version
        self.manifest = manifest

    def __reduce__(self) -> Any:
        """Have a copy in another process open the same version."""
        return _opened_again, (str(self._prefix), self.version)

    @property
    def address(self) -> str:
        """Address of the result."""
        return self._prefix.shown

    def open(self, file: FileRecord) -> pa.NativeFile:
        """Open a file of the manifest; a small one is read at once."""
        key = self._key(file)
        if file.n_bytes <= WHOLE_BYTES:
            return pa.BufferReader(self.get(file))
        info = self._objects.info(key)
        if info is None or info.n_bytes != file.n_bytes:
            raise self._missing(file)
        content = ObjectFile(self._objects, info, lambda: self._missing(file))
        return pa.PythonFile(BufferedReader(content, READ_BYTES), mode="r")

    def get(self, file: FileRecord) -> bytes:
        """Return the content of a file of the manifest."""
        found = self._objects.get(self._key(file))
        if found is None or len(found[0]) != file.n_bytes:
            raise self._missing(file)
        return found[0]

    def _key(self, file: FileRecord) -> str:
        return (self._prefix / f"{VERSIONS}/{self.version}/{file.kept_as}").key

    def _missing(self, file: FileRecord) -> DataError:
        if self._objects.info((self._prefix / f"{VERSIONS}/{self.version}/{MANIFEST}").key) is None:
            return DataError(
                f"Version {self.version} of {self.address} was removed while it was read: newer results took its place. "
                f"Open the result again. `sink.keep_versions` says how many earlier results stay for readers at work."
            )
        return DataError(
            f"{self.address}/{file.name} is missing or damaged in version {self.version}. Publish again with --overwrite."
        )


def open_object_snapshot(
    objects: Objects, prefix: BucketAddress, version: str | None, *, known: list[str] | None = None
) -> ObjectSnapshot:
    """Open the current version of a result, or the version of that name.

    Raises
    ------
    DataError
        If nothing is published there, there is no such version, or its manifest is damaged.
    """
    if version is None:
        manifest = published_manifest(PublishedObjects(objects, prefix))
        return ObjectSnapshot(objects, prefix, manifest.root.rpartition("/")[2], manifest)
    store = ObjectStore(objects, prefix / f"{VERSIONS}/{version}")
    found = read_manifest(store)
    if found is None:
        hint = did_you_mean(version, known or [])
        raise DataError(f"{prefix.shown} has no version {version!r}.{hint} `emberharmony show` lists them.")
    return ObjectSnapshot(objects, prefix, version, found)


def _opened_again(prefix: str, version: str) -> ObjectSnapshot:
    address = BucketAddress.parse(prefix)
    return open_object_snapshot(Bucket(address), address, version)
