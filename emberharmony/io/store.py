"""A folder that files appear in whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from emberharmony.errors import DamagedError, TerminalError, TransientError
from emberharmony.typing import Arrays

UNFINISHED = ".unfinished"
"""Folder, under a store's root, of files that are being written."""

_PASSING = frozenset(
    getattr(errno, name)
    for name in (
        *("EIO", "ESTALE", "ENOTCONN", "ENODEV", "ETIMEDOUT", "ECONNRESET"),
        *("EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH"),
    )
    if hasattr(errno, name)
)
"""What the system says of a share that is away for a while."""


@dataclass(frozen=True)
class FileRecord:
    """A written file: its name within the store, its size and what its content hashes to."""

    name: str
    n_bytes: int
    sha256: str


class HashingFile:
    """A file that hashes what is written to it, on the way."""

    closed = False  # pyarrow asks

    def __init__(self, handle: BinaryIO) -> None:
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

    def record(self, name: str) -> FileRecord:
        """Return the record of what was written, to be kept under `name`."""
        return FileRecord(name, self._n_bytes, self._sha256.hexdigest())


@dataclass(frozen=True)
class Store:
    """Files by name under one root; writing is atomic, and writing again replaces.

    With `expected` the root is known to be there: if it is not, a share has vanished, which may pass, and nothing is made in
    its place.
    """

    root: Path
    expected: bool = False

    def path(self, name: str) -> Path:
        """Where a file lies, or would."""
        return self.root / name

    def exists(self, name: str) -> bool:
        """Whether the file was written, whole."""
        return self.path(name).exists()

    def check_there(self) -> None:
        """Raise if the root has vanished.

        Raises
        ------
        TransientError
            If the root is expected and not there.
        """
        if self.expected and not self.root.exists():
            raise TransientError(
                f"{self.root} has vanished. If it lies on a share, mount it again; then run the same command again: it goes "
                f"on where it stopped."
            )

    @contextmanager
    def writing(self, name: str) -> Iterator[HashingFile]:
        """Open a file to write; it appears under its name when the block ends well, and never otherwise.

        Until then it lies in a folder of its own, so that a killed writer leaves nothing among the files that readers see.
        """
        target = self.path(name)
        unfinished = self.root / UNFINISHED / f"{target.name}.{uuid.uuid4().hex[:12]}"
        with self._explained(target):
            self.check_there()
            target.parent.mkdir(parents=True, exist_ok=True)
            unfinished.parent.mkdir(exist_ok=True)
            try:
                with unfinished.open("wb") as handle:
                    file = HashingFile(handle)
                    yield file
                unfinished.replace(target)
            finally:
                unfinished.unlink(missing_ok=True)

    def write(self, name: str, content: bytes | memoryview) -> FileRecord:
        """Write a file whose content is at hand."""
        with self.writing(name) as file:
            file.write(content)
        return file.record(name)

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        with self._explained(self.path(name)):
            return self.path(name).read_bytes()

    def write_json(self, name: str, content: Any) -> FileRecord:
        """Write JSON, indented for people."""
        return self.write(name, (json.dumps(content, indent=1, ensure_ascii=False, default=str) + "\n").encode())

    def read_json(self, name: str) -> Any:
        """Return a JSON file's content."""
        return json.loads(self.read(name))

    def write_arrays(self, name: str, arrays: Arrays) -> FileRecord:
        """Write named arrays as safetensors."""
        return self.write(name, safetensors.numpy.save({key: array.copy(order="C") for key, array in arrays.items()}))

    def read_arrays(self, name: str, *, prefix: str = "") -> Arrays:
        """Return the arrays whose names begin with `prefix`, without it; the others are not read."""
        with self._explained(self.path(name)), safetensors.safe_open(self.path(name), framework="numpy") as file:
            return {key.removeprefix(prefix): file.get_tensor(key) for key in file.keys() if key.startswith(prefix)}  # noqa: SIM118

    def holds(self, record: FileRecord) -> bool:
        """Whether a file is there and hashes to what its record says."""
        path = self.path(record.name)
        with self._explained(path):
            try:
                with path.open("rb") as handle:
                    if os.fstat(handle.fileno()).st_size != record.n_bytes:
                        return False
                    return hashlib.file_digest(handle, "sha256").hexdigest() == record.sha256
            except FileNotFoundError:
                self.check_there()
                return False

    def check(self, record: FileRecord) -> None:
        """Raise unless a file is what its record says.

        Raises
        ------
        DamagedError
            If it is missing, or its content is another one.
        """
        if not self.holds(record):
            raise DamagedError(f"{self.path(record.name)} is missing or was changed since this job wrote it.", record.name)

    def remove(self) -> None:
        """Remove the folder and everything in it."""
        if self.root.exists():
            shutil.rmtree(self.root)

    def check_writable(self) -> None:
        """Find out now, not after an hour's work, that nothing can be written here."""
        self.write(".writable", b"")
        self.path(".writable").unlink()

    @contextmanager
    def _explained(self, target: Path) -> Iterator[None]:
        """Tell failures that may pass from those that will not, and what to do about them."""
        try:
            yield
        except OSError as error:
            if error.errno in _PASSING:
                raise TransientError(f"{target} cannot be reached: {error.strerror}.") from error
            if isinstance(error, FileNotFoundError):
                self.check_there()
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise TerminalError(
                    f"The disk is full: {target} could not be written. Free space or choose another `sink.path`, then run the "
                    f"same command again; it goes on where it stopped."
                ) from error
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                reason = (error.strerror or "permission denied").lower()
                raise TerminalError(
                    f"{target} cannot be written: {reason}. Choose a `sink.path` that this user may write to."
                ) from error
            if error.errno in (errno.ENOTDIR, errno.EEXIST):
                raise TerminalError(
                    f"{target} cannot be written: a part of its path is a file, not a folder. Choose another `sink.path`."
                ) from error
            raise


def prefixed(states: dict[str, Arrays]) -> Arrays:
    """Arrays of several states as one mapping, each name behind its state's.

    Examples
    --------
    >>> prefixed({"a": {"x": 1}, "b": {"x": 2}})
    {'a/x': 1, 'b/x': 2}
    """
    return {f"{name}/{key}": array for name, arrays in states.items() for key, array in arrays.items()}


def by_prefix(arrays: Arrays) -> dict[str, Arrays]:
    """The states that `prefixed` has put together.

    Examples
    --------
    >>> by_prefix({"a/x": 1, "a/y": 2, "b/x": 3})
    {'a': {'x': 1, 'y': 2}, 'b': {'x': 3}}
    """
    states: dict[str, dict[str, NDArray[Any]]] = {}
    for name, array in arrays.items():
        state, _, key = name.partition("/")
        states.setdefault(state, {})[key] = array
    return dict(states)
