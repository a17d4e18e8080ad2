"""A store some of whose folders are kept in another store."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from io import BufferedIOBase
from typing import cast

from emberharmony.io.store.base import ETag, FileRecord, HashingFile, Store

_FOLDER = "folder.json"


@dataclass(frozen=True)
class RoutedStore(Store):
    """Files of one store, and those below some folders from another: a worker writes them to their final place.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from emberharmony.io.store.local import LocalStore
    >>> with TemporaryDirectory() as folder:
    ...     run, tables = LocalStore(Path(folder, "run")), LocalStore(Path(folder, "tables"))
    ...     store = RoutedStore(run, tables, lambda name: f"run-7/{name}" if name.startswith("features/") else None)
    ...     record = store.keep("features/part-0", b"rows")
    ...     record.name, store.get(record), tables.list("run-7"), run.list("features")
    ('features/part-0', b'rows', ['run-7/features/part-0-...'], [])
    """

    run: Store
    elsewhere: Store
    route: Callable[[str], str | None]
    """Name in the other store of a file or, with a slash at its end, of a folder; ``None`` for those of the first store."""

    @property
    def address(self) -> str:
        """Where the root of the first store is."""
        return self.run.address

    def get(self, file: str | FileRecord) -> bytes:
        """Return the content of a file."""
        store, there = self._routed(file)
        return store.get(there)

    def open(self, file: str | FileRecord) -> AbstractContextManager[BufferedIOBase]:
        """Open a file for reading."""
        store, there = self._routed(file)
        return store.open(there)

    @contextmanager
    def open_checked(self, record: FileRecord, *, whole: bool = False) -> Iterator[BufferedIOBase]:
        """Open a kept file for reading, if it is what its record says; with `whole`, all of it will be read."""
        store, there = self._routed(record)
        with store.open_checked(cast(FileRecord, there), whole=whole) as handle:
            yield handle

    def put(self, name: str, content: bytes | memoryview) -> None:
        """Write a file, in place of one of that name."""
        store, there = self._routed(name)
        store.put(_name(there), content)

    def put_if_absent(self, name: str, content: bytes | memoryview) -> bool:
        """Write a file unless there is one of that name; returns whether the file has this content now."""
        store, there = self._routed(name)
        return store.put_if_absent(_name(there), content)

    def read_with_etag(self, name: str) -> tuple[bytes, ETag] | None:
        """Return the content of a file and its state; ``None`` if there is no such file."""
        store, there = self._routed(name)
        return store.read_with_etag(_name(there))

    def replace_if_unchanged(self, name: str, content: bytes | memoryview, etag: ETag) -> ETag | None:
        """Write a file that is in the given state; returns its new state, ``None`` if it was in another."""
        store, there = self._routed(name)
        return store.replace_if_unchanged(_name(there), content, etag)

    @contextmanager
    def keeping(self, name: str) -> Iterator[HashingFile]:
        """Open a file to write; it is kept if the block ends without an error."""
        store, there = self._routed(name)
        with store.keeping(_name(there)) as file:
            yield cast(HashingFile, _Renamed(file, name))

    def list(self, folder: str) -> Iterable[str]:
        """Names of all files below a folder, sorted."""
        store, there = self._routed(f"{folder}/")
        if store is self.run:
            return store.list(folder)
        begin = _name(there)
        return [f"{folder}/{name.removeprefix(begin)}" for name in store.list(begin.removesuffix("/"))]

    def modified(self, folder: str) -> Mapping[str, float]:
        """When each file below a folder was last written."""
        store, there = self._routed(f"{folder}/")
        if store is self.run:
            return store.modified(folder)
        begin = _name(there)
        found = store.modified(begin.removesuffix("/"))
        return {f"{folder}/{name.removeprefix(begin)}": at for name, at in found.items()}

    def folders(self) -> Sequence[str]:
        """Names of the folders right below the root of the first store, sorted."""
        return self.run.folders()

    def size(self, file: str | FileRecord) -> int | None:
        """Bytes of a file; ``None`` if there is no such file."""
        store, there = self._routed(file)
        return store.size(there)

    def delete(self, name: str) -> None:
        """Remove a file, if there is one of that name."""
        store, there = self._routed(name)
        store.delete(_name(there))

    def sha256(self, file: str | FileRecord) -> str | None:
        """SHA-256 of a file's content, in hexadecimal; ``None`` if there is no such file."""
        store, there = self._routed(file)
        return store.sha256(there)

    def holds(self, record: FileRecord) -> bool:
        """Whether a kept file is there and is what its record says."""
        store, there = self._routed(record)
        return store.holds(cast(FileRecord, there))

    def read_ranges(self, record: FileRecord, ranges: Sequence[tuple[int, int]]) -> Sequence[bytes | memoryview]:
        """Return ranges of a kept file."""
        store, there = self._routed(record)
        return store.read_ranges(cast(FileRecord, there), ranges)

    def address_of(self, file: str | FileRecord) -> str:
        """Where a file is or would be, for messages."""
        store, there = self._routed(file)
        return store.address_of(there)

    def check_there(self) -> None:
        """Raise if the root of the first store has to exist and does not."""
        self.run.check_there()

    def check_writable(self) -> None:
        """Raise now, not after an hour's work, if nothing can be written to one of the stores."""
        self.run.check_writable()
        self.elsewhere.check_writable()

    def make_durable(self, records: Iterable[FileRecord]) -> None:
        """Make sure that kept files survive a power failure, whole and under their names."""
        by_store: dict[bool, list[FileRecord]] = {True: [], False: []}
        for record in records:
            store, there = self._routed(record)
            by_store[store is self.run].append(cast(FileRecord, there))
        for is_run, there_all in by_store.items():
            (self.run if is_run else self.elsewhere).make_durable(there_all)

    @property
    def heartbeat_s(self) -> float:
        """Seconds between two heartbeats."""
        return self.run.heartbeat_s

    @property
    def readers(self) -> int:
        """How many small files are best read at a time."""
        return self.run.readers

    def free_bytes(self) -> int | None:
        """Bytes that can still be written to the first store; ``None`` if it cannot tell."""
        return self.run.free_bytes()

    def _routed(self, file: str | FileRecord) -> tuple[Store, str | FileRecord]:
        """The store that a file is in, and what names it there."""
        there = self.route(_name(file))
        if there is None:
            return self.run, file
        return self.elsewhere, there if isinstance(file, str) else replace(file, name=there)


def own_folder(run: Store) -> str:
    """Return the name of a staged run's folder in other stores; it is chosen once, and no other run has it.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from emberharmony.io.store.local import LocalStore
    >>> with TemporaryDirectory() as folder:
    ...     run = LocalStore(Path(folder))
    ...     len(own_folder(run)), own_folder(run) == own_folder(run)
    (16, True)
    """
    chosen = run.find_json(_FOLDER)
    if chosen is None:
        run.write_json(_FOLDER, {"folder": uuid.uuid4().hex[:16]}, once=True)
        chosen = run.read_json(_FOLDER)
    return str(chosen["folder"])


class _Renamed:
    """A file open for writing whose record has another name."""

    closed = False

    def __init__(self, file: HashingFile, name: str) -> None:
        self._file, self._name = file, name
        self.write, self.flush, self.close = file.write, file.flush, file.close

    @property
    def record(self) -> FileRecord:
        """The record of what was written so far."""
        return replace(self._file.record, name=self._name)


def _name(file: str | FileRecord) -> str:
    return file if isinstance(file, str) else file.name
