"""Buckets for the tests: on servers that speak the clouds' protocols, and one in memory."""

from __future__ import annotations

import itertools
import threading
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import pytest

from emberharmony.io.manifest import MANIFEST
from emberharmony.io.sources.parquet import object_files
from emberharmony.io.store import bucket
from emberharmony.io.store.address import BucketAddress, child_address
from emberharmony.io.store.bucket import Bucket
from emberharmony.io.store.objects import ABSENT, ConditionFailedError, ObjectInfo, Objects, Revision
from emberharmony.io.store.opening import open_store, result_at


class MemoryObjects:
    """A bucket in memory: the reference of how a bucket behaves. A stand-in, no cloud speaks through it."""

    answers_late = False

    def __init__(self) -> None:
        self._objects: dict[str, tuple[bytes, ObjectInfo]] = {}
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    def put(self, key: str, content: bytes | memoryview | BinaryIO, *, only_if: Revision | None = None) -> Revision:
        data = bytes(content) if isinstance(content, bytes | memoryview) else content.read()
        with self._lock:
            there = self._objects.get(key)
            if only_if is not None and only_if != (there[1].revision if there else ABSENT):
                raise ConditionFailedError(key)
            revision = Revision(str(next(self._numbers)))
            self._objects[key] = (data, ObjectInfo(key, len(data), revision, datetime.now(UTC)))
        return revision

    def get(self, key: str) -> tuple[bytes, Revision] | None:
        found = self._objects.get(key)
        return None if found is None else (found[0], found[1].revision)

    def get_range(self, key: str, start: int, stop: int, *, revision: Revision | None = None) -> bytes:
        content, info = self._objects[key]
        if revision is not None and revision != info.revision:
            raise ConditionFailedError(key)
        return content[start:stop]

    def info(self, key: str) -> ObjectInfo | None:
        found = self._objects.get(key)
        return None if found is None else found[1]

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return (self._objects[key][1] for key in self._keys_below(prefix))

    def folders(self, prefix: str) -> Sequence[str]:
        start = len(prefix) + 1 if prefix else 0
        return sorted({key[start:].partition("/")[0] for key in self._keys_below(prefix) if "/" in key[start:]})

    def _keys_below(self, prefix: str) -> Sequence[str]:
        below = f"{prefix.rstrip('/')}/"
        return sorted([key for key in self._objects if not prefix or key.startswith(below)])

    def delete(self, keys: Sequence[str] | Iterable[str]) -> None:
        for key in list(keys):
            self._objects.pop(key, None)


BUCKETS = ("memory", "s3", "azure", "gcs")
"""What buckets the tests of stores use, see `objects_of`."""


@contextmanager
def s3_bucket(server: str) -> Iterator[str]:
    """Address of a new bucket on an S3 server."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    urllib.request.urlopen(urllib.request.Request(f"{server}/{name}", method="PUT"), timeout=60).close()
    yield f"s3://{name}?endpoint={server}&region=us-east-1"


def objects_of(kind: str, request: pytest.FixtureRequest) -> tuple[Objects, BucketAddress]:
    """The objects of a new bucket, and its address; `kind` is ``memory`` or the fixture of a server."""
    if kind == "memory":
        return MemoryObjects(), BucketAddress("s3", "memory")
    address = BucketAddress.parse(request.getfixturevalue(kind))
    return Bucket(address), address


def uploader(address: str) -> Callable[[Path, str], str]:
    """Uploads a file or a folder to a bucket, and returns its address there."""
    objects = Bucket(BucketAddress.parse(address))

    def put(path: Path, key: str) -> str:
        for file in [path] if path.is_file() else path.rglob("*"):
            if file.is_file():
                objects.put("/".join(part for part in (key, *file.relative_to(path).parts) if part != "."), file.read_bytes())
        return child_address(address, key)

    return put


def download(address: str, folder: Path) -> Path:
    """Copy the published files of a result in a bucket to a folder, by the names that they are published by."""
    files = open_store(address)
    snapshot = result_at(address).snapshot()
    contents = {file.name: snapshot.get(file) for file in snapshot.manifest.files}
    for name, content in {**contents, MANIFEST: files.get(MANIFEST)}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@contextmanager
def memory_bucket() -> Iterator[str]:
    """Address of a new bucket in this process's memory: obstore's own store of that kind, in the place of a cloud's client."""
    from obstore.store import MemoryStore

    client = MemoryStore()
    with pytest.MonkeyPatch.context() as patched:
        for module in (bucket, object_files):
            patched.setattr(module, "client_of", lambda _: client)
        yield "s3://memory?region=eu-west-1"
