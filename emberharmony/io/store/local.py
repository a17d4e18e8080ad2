"""A folder that files appear in whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from emberharmony.errors import DamagedError, TerminalError, TransientError
from emberharmony.io.store.access import PRIVATE, make_folder, mode_of, set_mode
from emberharmony.io.store.errors import told
from emberharmony.typing import Arrays

UNFINISHED = ".unfinished"
"""Folder, under a store's root, of files that are being written."""

_NO_LINKS = frozenset({errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK})
"""Errors raised where hard links are not supported."""

_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EOPNOTSUPP})
"""Errors raised where folders cannot be synced; network file systems sync them by themselves."""

_SAFETENSORS_DTYPES = {"BOOL": np.dtype(np.bool_)} | {
    f"{kind}{8 * n_bytes}": np.dtype(f"<{kind.lower()}{n_bytes}")
    for kind, sizes in {"I": (1, 2, 4, 8), "U": (1, 2, 4, 8), "F": (2, 4, 8)}.items()
    for n_bytes in sizes
}


@dataclass(frozen=True)
class FileRecord:
    """A kept file: its name, its size and what its content hashes to."""

    name: str
    n_bytes: int
    sha256: str

    @property
    def kept_as(self) -> str:
        """Name that the file has within a store, which tells its content as well.

        Examples
        --------
        >>> FileRecord("grams/00007.safetensors", 0, "e3b0c44298fc1c149afbf4c8996fb924").kept_as
        'grams/00007-e3b0c44298fc1c14.safetensors'
        """
        name = PurePosixPath(self.name)
        return str(name.with_stem(f"{name.stem}-{self.sha256[:16]}"))


class HashingFile:
    """A file that hashes what is written to it, on the way."""

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


@dataclass(frozen=True)
class Store:
    """Files under one root, each of which appears whole or not at all.

    A file that is *written* has a name; writing it again replaces it. A file that is *kept* lies under its name and its
    content's hash, and its record finds it: of two workers that make the same part on different hardware neither touches the
    other's, whoever is late.

    A file is on disk, not only in memory, before it gets its name. Files and folders can be read by whoever can read the root.

    With `within`, a folder above it, the root is expected to be there, and is not made again. If it is not, it was removed by
    whoever was done with it; or `within` is gone as well, or empty, since a share has vanished, which may pass.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     store = Store(Path(folder))
    ...     one, other = store.keep("part", b"by one worker"), store.keep("part", b"by another")
    ...     store.read(one), store.read(other)
    (b'by one worker', b'by another')
    """

    root: Path
    within: Path | None = None

    @property
    def address(self) -> str:
        """Where the store is, in messages and references."""
        return str(self.root.absolute())

    def path(self, file: str | FileRecord) -> Path:
        """Where a file lies, or would."""
        return self.root / (file if isinstance(file, str) else file.kept_as)

    def exists(self, name: str) -> bool:
        """Whether the file was written, whole."""
        with self._explained(self.path(name)):
            return self.path(name).exists()

    def check_there(self) -> None:
        """Raise if the root is expected and not there.

        Raises
        ------
        TransientError
            If a share has vanished.
        TerminalError
            If the root was removed.
        """
        if self.within is None or self.root.exists():
            return
        if self.within.exists() and any(self.within.iterdir()):
            raise TerminalError(
                f"{self.root} was removed: another process has published its run, or started it anew. What was still to do "
                f"here is not needed."
            )
        raise TransientError(
            f"{self.root} has vanished. If it lies on a share, mount it again; then run the same command again: it goes on "
            f"where it stopped."
        )

    def write(self, name: str, content: bytes | memoryview, *, once: bool = False) -> None:
        """Write a file by its name; with `once` the first of several writers wins, and the others change nothing."""
        put = _put_once if once else Path.replace
        with self._making(name, lambda unfinished, _: put(unfinished, self.path(name))) as file:
            file.write(content)

    def write_json(self, name: str, content: Any, *, once: bool = False) -> None:
        """Write JSON, indented for people."""
        self.write(name, _as_json(content), once=once)

    @contextmanager
    def keeping(self, name: str) -> Iterator[HashingFile]:
        """Open a file to write, which is kept when the block ends well; its record is complete then."""
        with self._making(name, lambda unfinished, record: unfinished.replace(self.path(record))) as file:
            yield file

    def keep(self, name: str, content: bytes | memoryview) -> FileRecord:
        """Keep a file whose content is at hand."""
        with self.keeping(name) as file:
            file.write(content)
        return file.record

    def keep_json(self, name: str, content: Any) -> FileRecord:
        """Keep JSON, indented for people."""
        return self.keep(name, _as_json(content))

    def keep_arrays(self, name: str, arrays: Arrays) -> FileRecord:
        """Keep named arrays as safetensors."""
        return self.keep(name, as_safetensors(arrays))

    def read(self, file: str | FileRecord) -> bytes:
        """Return a file's content."""
        with self._explained(self.path(file)):
            return self.path(file).read_bytes()

    def read_json(self, file: str | FileRecord) -> Any:
        """Return a JSON file's content."""
        return json.loads(self.read(file))

    def read_arrays(self, file: str | FileRecord, *, prefix: str = "") -> Arrays:
        """Return the arrays whose names begin with `prefix`, without it; the others are not read."""
        path = self.path(file)
        with self._explained(path), path.open("rb") as handle:
            return {key.removeprefix(prefix): array for key, array in _safetensors_in(handle, prefix)}

    def holds(self, record: FileRecord) -> bool:
        """Whether a file is there and hashes to what its record says."""
        path = self.path(record)
        with self._explained(path):
            try:
                return path.stat().st_size == record.n_bytes and file_hash(path) == record.sha256
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
            raise DamagedError(f"{self.path(record)} is missing or was changed since this job wrote it.", record.kept_as)

    def check_writable(self) -> None:
        """Find out now, not after an hour's work, that nothing can be written here."""
        name = f".writable-{uuid.uuid4().hex[:12]}"  # of this call alone: two runs may start at the same moment
        with self._making(name, lambda unfinished, _: unfinished.replace(self.path(name)), told=self.root):
            pass
        self.path(name).unlink()

    def sync_folders(self, records: Iterable[FileRecord]) -> None:
        """Make the names of kept files durable: after a power failure the files are found under them."""
        for folder in {self.path(record).parent for record in records}:
            with self._explained(folder):
                sync_folder(folder)

    @contextmanager
    def _making(
        self, name: str, put: Callable[[Path, FileRecord], object], *, told: Path | None = None
    ) -> Iterator[HashingFile]:
        """Write in a folder apart, so that a killed writer leaves nothing among the files; `put` what is whole in place.

        Errors name the file, or the path `told`.
        """
        target = self.path(name)
        unfinished = self.root / UNFINISHED / f"{target.name}.{uuid.uuid4().hex[:12]}"
        with self._explained(told or target):
            self.make_folder(target.parent)
            self.make_folder(unfinished.parent)
            try:
                with open(unfinished, "xb", opener=_private) as handle:
                    set_mode(handle.fileno(), mode_of(self.root) & 0o666)
                    file = HashingFile(name, handle)
                    yield file
                    handle.flush()
                    os.fsync(handle.fileno())
                put(unfinished, file.record)
            finally:
                unfinished.unlink(missing_ok=True)

    def make_folder(self, folder: Path) -> None:
        """Make a folder below the root, and the root itself unless it is expected to be there."""
        if self.within is None:
            make_folder(self.root)
        below, mode = folder.relative_to(self.root).parts, mode_of(self.root)
        for depth in range(len(below)):
            made = self.root.joinpath(*below[: depth + 1])
            if not made.exists():
                made.mkdir(mode=PRIVATE, exist_ok=True)
                set_mode(made, mode)

    @contextmanager
    def _explained(self, target: Path) -> Iterator[None]:
        """Tell failures that may pass from those that will not, and what to do about them."""
        try:
            yield
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                self.check_there()
            raise told(error, target) from error


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def sync_folder(folder: Path) -> None:
    """Write a folder's list of names to disk, where the file system can."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(handle)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def as_safetensors(arrays: Arrays) -> bytes:
    """Named arrays as the bytes of a safetensors file."""
    content: bytes = safetensors.numpy.save({key: np.asarray(array, order="C") for key, array in arrays.items()})
    return content


def _safetensors_in(handle: BufferedReader, prefix: str) -> Iterator[tuple[str, NDArray[Any]]]:
    """Names and arrays of a safetensors file. The library maps the file, and where a share is gone that ends the process.

    After eight bytes that tell its length comes a JSON object of every array's dtype, shape and place in the rest
    (https://github.com/huggingface/safetensors#format).
    """
    length = int.from_bytes(handle.read(8), "little")
    header = json.loads(handle.read(length))
    for name, entry in header.items():
        if name.startswith(prefix) and name != "__metadata__":
            array = np.empty(entry["shape"], _SAFETENSORS_DTYPES[entry["dtype"]])
            handle.seek(8 + length + entry["data_offsets"][0])
            if array.nbytes and handle.readinto(array.reshape(-1).view(np.uint8).data) != array.nbytes:
                raise OSError(errno.EIO, "the file ends too early", handle.name)
            yield name, array


def _as_json(content: Any) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False, default=str) + "\n").encode()


def _put_once(unfinished: Path, target: Path) -> None:
    """Name a file that is whole, unless the name is taken."""
    try:
        target.hardlink_to(unfinished)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if not target.exists():  # of two in this very moment the second wins
            unfinished.replace(target)


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
