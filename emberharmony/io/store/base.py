"""The contract of a store: named files under one root, each of which readers see complete or not at all."""

from __future__ import annotations

import hashlib
import json
import posixpath
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from typing import Any, BinaryIO, NewType, Protocol, TypeVar

from emberharmony.errors import DamagedError
from emberharmony.io.store.arrays import arrays_in, safetensors_parts
from emberharmony.threads import in_parallel
from emberharmony.typing import Arrays

R = TypeVar("R")

ETag = NewType("ETag", str)
"""Names one state of a file, for comparison only."""

READ_AHEAD_BYTES = 16 * 2**20
"""Bytes of files that are read ahead, at most."""

_JOINED_BYTES = 8 * 2**20
"""Larger files of arrays are written array by array: a copy of all of them would take as much memory again."""


@dataclass(frozen=True)
class FileRecord:
    """A kept file: its name, its size and the hash of its content."""

    name: str
    n_bytes: int
    sha256: str

    @property
    def kept_as(self) -> str:
        """Name of the file within a store; it contains the content's hash.

        Examples
        --------
        >>> FileRecord("grams/00007.safetensors", 0, "e3b0c44298fc1c149afbf4c8996fb924").kept_as
        'grams/00007-e3b0c44298fc1c14.safetensors'
        """
        stem, suffix = posixpath.splitext(self.name)
        return f"{stem}-{self.sha256[:16]}{suffix}"


class HashingFile:
    """A file open for writing that hashes what is written to it."""

    closed = False  # pyarrow asks

    def __init__(self, name: str, handle: BinaryIO) -> None:
        self._name = name
        self._handle = handle
        self._sha256 = hashlib.sha256()
        self._n_bytes = 0

    def write(self, content: bytes | memoryview) -> int:
        """Write all of `content`."""
        self._sha256.update(content)
        self._n_bytes += len(content)
        return self._handle.write(content)

    def flush(self) -> None:
        """Do nothing: the end of the block flushes."""

    def close(self) -> None:
        """Do nothing: the end of the block closes."""

    @property
    def record(self) -> FileRecord:
        """The record of what was written so far."""
        return FileRecord(self._name, self._n_bytes, self._sha256.hexdigest())


class Store(Protocol):
    """Files under one root. A writer that is killed leaves no file behind that readers could take for a complete one.

    A file that is *written* has a name; writing it again replaces it. A file that is *kept* has the hash of its content in
    its name, and its record finds it. So two workers that make the same part on different hardware never touch each other's
    file, however late one of them is.

    Stores implement the methods that have no body here. Everything else is written once, for all of them.

    Raises
    ------
    TransientError
        By every method, if the store cannot be reached for now.
    TerminalError
        By every method, if the store refuses: no space, no permission, or the run was removed.
    """

    @property
    @abstractmethod
    def address(self) -> str:
        """Where the root is, in messages and in references that travel to other processes."""
        ...

    @abstractmethod
    def get(self, file: str | FileRecord) -> bytes:
        """Return the content of a file."""
        ...

    @abstractmethod
    def open(self, file: str | FileRecord) -> AbstractContextManager[BufferedIOBase]:
        """Open a file for reading; it can seek, so that readers fetch only the bytes they need."""
        ...

    @abstractmethod
    def put(self, name: str, content: bytes | memoryview) -> None:
        """Write a file, in place of one of that name."""
        ...

    @abstractmethod
    def put_if_absent(self, name: str, content: bytes | memoryview) -> bool:
        """Write a file unless there is one of that name: the first of several writers wins.

        Returns
        -------
        bool
            Whether the file has this content now, by this call or another.
        """
        ...

    @abstractmethod
    def read_with_etag(self, name: str) -> tuple[bytes, ETag] | None:
        """Return the content of a file and its state; ``None`` if there is no such file."""
        ...

    @abstractmethod
    def replace_if_unchanged(self, name: str, content: bytes | memoryview, etag: ETag) -> ETag | None:
        """Write a file that is in the state `etag`; returns its new state, ``None`` if it was in another or is gone."""
        ...

    @abstractmethod
    def keeping(self, name: str) -> AbstractContextManager[HashingFile]:
        """Open a file to write; it is kept if the block ends without an error, and then its record is complete.

        A power failure may damage it until `make_durable` was called, so nothing that lasts may name it before.
        """
        ...

    @abstractmethod
    def list(self, folder: str) -> Iterable[str]:
        """Names of all files below a folder, sorted; none if there is no such folder."""
        ...

    @abstractmethod
    def modified(self, folder: str) -> Mapping[str, float]:
        """When each file below a folder was last written, by its name: seconds since 1970, by the store's clock.

        No file is opened. Files that vanish meanwhile are left out.
        """
        ...

    @abstractmethod
    def folders(self) -> Sequence[str]:
        """Names of the folders right below the root, sorted; none if there is no root. A bucket answers by one listing."""
        ...

    @abstractmethod
    def size(self, file: str | FileRecord) -> int | None:
        """Bytes of a file; ``None`` if there is no such file."""
        ...

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove a file, if there is one of that name."""
        ...

    @abstractmethod
    def sha256(self, file: str | FileRecord) -> str | None:
        """SHA-256 of a file's content, in hexadecimal; ``None`` if there is no such file."""
        ...

    @abstractmethod
    def check_there(self) -> None:
        """Raise if the root has to exist and does not."""
        ...

    @abstractmethod
    def check_writable(self) -> None:
        """Raise now, not after an hour's work, if nothing can be written."""
        ...

    @abstractmethod
    def make_durable(self, records: Iterable[FileRecord]) -> None:
        """Make sure that kept files survive a power failure, whole and under their names.

        Raises
        ------
        DamagedError
            If one is missing.
        """
        ...

    @property
    def readers(self) -> int:
        """How many small files are best read at a time: one, unless each is waited for."""
        return 1

    @property
    def heartbeat_s(self) -> float:
        """Seconds between two heartbeats, each of which replaces the same file."""
        return 1.0

    def free_bytes(self) -> int | None:
        """Bytes that can still be written; ``None`` if the store cannot tell."""
        return None

    # ---- written once, for every store -----------------------------------------------------------------------------------

    def address_of(self, file: str | FileRecord) -> str:
        """Where a file is or would be, for messages."""
        return f"{self.address}/{file if isinstance(file, str) else file.kept_as}"

    def exists(self, name: str) -> bool:
        """Whether a file of that name was written completely."""
        return self.size(name) is not None

    def find(self, name: str) -> bytes | None:
        """Return the content of a file; ``None`` if there is no such file. A bucket is asked once."""
        found = self.read_with_etag(name)
        return None if found is None else found[0]

    def recent(self, name: str) -> bytes | None:
        """Return the content of a file that `put_if_absent` has written lately, if the store remembers it, else ``None``.

        For files that nobody writes again, such as receipts. Another process may have removed it.
        """
        return None

    def find_json(self, name: str) -> Any | None:
        """Return the content of a JSON file; ``None`` if there is no such file."""
        content = self.find(name)
        return None if content is None else json.loads(content)

    def write_json(self, name: str, content: Any, *, once: bool = False) -> None:
        """Write JSON, indented for people; with `once`, the first of several writers wins."""
        (self.put_if_absent if once else self.put)(name, as_json(content))

    def keep(self, name: str, content: bytes | memoryview) -> FileRecord:
        """Keep a file whose content is at hand."""
        with self.keeping(name) as file:
            file.write(content)
        return file.record

    def keep_json(self, name: str, content: Any) -> FileRecord:
        """Keep JSON, indented for people."""
        return self.keep(name, as_json(content))

    def keep_arrays(self, name: str, arrays: Arrays) -> FileRecord:
        """Keep named arrays as safetensors."""
        parts = safetensors_parts(arrays)
        if sum(len(part) for part in parts) <= _JOINED_BYTES:
            return self.keep(name, b"".join(parts))
        with self.keeping(name) as file:
            for part in parts:
                file.write(part)
        return file.record

    def read_json(self, file: str | FileRecord) -> Any:
        """Return the content of a JSON file."""
        return json.loads(self.get(file))

    def each(self, read: Callable[[FileRecord], R], records: Iterable[FileRecord]) -> Iterator[R]:
        """Yield what `read` returns for kept files, in order.

        As many are read ahead as the store reads best at a time, within `READ_AHEAD_BYTES`.
        """
        return in_parallel(read, records, self.readers, size=lambda record: record.n_bytes, most=READ_AHEAD_BYTES)

    def read_checked_arrays(self, record: FileRecord) -> Arrays:
        """Return all arrays of a kept file.

        Raises
        ------
        DamagedError
            If it is missing or its content has changed.
        """
        with self.open_checked(record) as handle:
            return dict(arrays_in(handle, ""))

    def read_arrays(self, file: str | FileRecord, *, prefix: str = "") -> Arrays:
        """Return the arrays whose names begin with `prefix`, without the prefix; the others are not read."""
        with self.open(file) as handle:
            return {key.removeprefix(prefix): array for key, array in arrays_in(handle, prefix)}

    @contextmanager
    def open_checked(self, record: FileRecord, *, whole: bool = False) -> Iterator[BufferedIOBase]:
        """Open a kept file for reading, if it is what its record says; with `whole`, all of it will be read.

        Raises
        ------
        DamagedError
            If it is missing or its content has changed.
        """
        self.check(record)
        with self.open(record) as handle:
            yield handle

    def read_ranges(self, record: FileRecord, ranges: Sequence[tuple[int, int]]) -> Sequence[bytes | memoryview]:
        """Return the bytes ``[start, stop)`` of a kept file for each of some ranges, which are in order.

        Raises
        ------
        DamagedError
            If the file is missing or has another size; its content is not compared.
        """
        if self.size(record) != record.n_bytes:
            raise self.damaged(record)
        with self.open(record) as handle:
            return [_range_of(handle, start, stop) for start, stop in ranges]

    def holds(self, record: FileRecord) -> bool:
        """Whether a kept file is there and hashes to what its record says."""
        if self.size(record) == record.n_bytes:
            return self.sha256(record) == record.sha256
        self.check_there()
        return False

    def check(self, record: FileRecord) -> None:
        """Raise unless a file is what its record says.

        Raises
        ------
        DamagedError
            If it is missing or its content has changed.
        """
        if not self.holds(record):
            raise self.damaged(record)

    def damaged(self, record: FileRecord) -> DamagedError:
        """Return the error that says of a kept file that it is not what its record says."""
        return DamagedError(f"{self.address_of(record)} is missing or was changed since this job wrote it.", record.kept_as)


def _range_of(handle: BufferedIOBase, start: int, stop: int) -> bytes:
    handle.seek(start)
    return handle.read(stop - start)


def as_json(content: Any) -> bytes:
    """JSON as the bytes of a file, indented for people."""
    return (json.dumps(content, indent=1, ensure_ascii=False, default=str) + "\n").encode()
