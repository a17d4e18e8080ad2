"""The store on this machine's disks and shares."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import TypeVar

from emberharmony.errors import TerminalError, TransientError
from emberharmony.io.store.access import PRIVATE, make_folder, mode_of, private, set_mode
from emberharmony.io.store.base import ETag, FileRecord, HashingFile, Store
from emberharmony.io.store.errors import translate
from emberharmony.io.store.local_hashes import WRITTEN

T = TypeVar("T")

UNFINISHED = ".unfinished"
"""Folder, under a store's root, of files that are being written."""

_SYNC_THREADS = 8
_QUICK_S = 0.001
"""A file that is synced in this time was not waited for."""

_NO_LINKS = frozenset({errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK})
"""Errors raised where hard links are not supported."""

_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EOPNOTSUPP})
"""Errors raised where folders cannot be synced; network file systems sync them by themselves."""


@dataclass(frozen=True)
class LocalStore(Store):
    """Files below a folder.

    A file that is written is on disk, not only in memory, before it gets its name, and one that is kept when `make_durable`
    returns. Users who may read the root may read its files and folders.

    With `within`, a folder above the root, the root must exist and is not created. If only the root is missing, it was removed
    when its work was done. If `within` is missing or empty too, the share is unavailable and may return.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     store = LocalStore(Path(folder))
    ...     one, other = store.keep("part", b"by one worker"), store.keep("part", b"by another")
    ...     store.get(one), store.get(other)
    (b'by one worker', b'by another')
    """

    root: Path
    within: Path | None = None

    @property
    def address(self) -> str:
        """Absolute path of the root."""
        return str(self.root.absolute())

    def path(self, file: str | FileRecord) -> Path:
        """Path of a file; only code of this folder, and tests, may use it."""
        return self.root / (file if isinstance(file, str) else file.kept_as)

    def address_of(self, file: str | FileRecord) -> str:
        """Path of a file, for messages."""
        return str(self.path(file))

    def check_there(self) -> None:
        """Raise if the root has to exist and does not.

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
                f"{self.root} was removed: another process has published its run, or started it again. The rest of the work "
                f"here is not needed."
            )
        raise TransientError(
            f"{self.root} has vanished. If it lies on a share, mount it again; then run the same command again: it goes on "
            f"where it stopped."
        )

    def put(self, name: str, content: bytes | memoryview) -> None:
        """Write a file, in place of one of that name."""
        with self._writing(name, lambda unfinished, _: unfinished.replace(self.path(name))) as file:
            file.write(content)

    def put_if_absent(self, name: str, content: bytes | memoryview) -> bool:
        """Write a file unless there is one of that name; returns whether the file has this content now."""
        with self._writing(name, lambda unfinished, _: _link_if_absent(unfinished, self.path(name))) as file:
            file.write(content)
        return self.get(name) == content

    def read_with_etag(self, name: str) -> tuple[bytes, ETag] | None:
        """Return the content of a file and its state; ``None`` if there is no such file."""
        path = self.path(name)
        with self._translated(path):
            try:
                content = path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return content, _etag(content)

    def replace_if_unchanged(self, name: str, content: bytes | memoryview, etag: ETag) -> ETag | None:
        """Write a file that is in the given state; returns its new state, ``None`` if it was in another."""
        with self._translated(self.path(name)), self._alone(name):
            found = self.read_with_etag(name)
            if found is None or found[1] != etag:
                return None
            self.put(name, content)
        return _etag(content)

    @contextmanager
    def keeping(self, name: str) -> Iterator[HashingFile]:
        """Open a file to write; it is kept if the block ends without an error."""

        def put(unfinished: Path, record: FileRecord) -> None:
            kept, inode = self.path(record), unfinished.stat().st_ino
            unfinished.replace(kept)
            with suppress(OSError):  # then it is hashed when it is read
                WRITTEN.remember(kept, record.sha256, inode=inode)

        with self._writing(name, put, sync=False) as file:  # `make_durable` does
            yield file

    def get(self, file: str | FileRecord) -> bytes:
        """Return the content of a file."""
        path = self.path(file)
        with self._translated(path):
            return path.read_bytes()

    @contextmanager
    def open(self, file: str | FileRecord) -> Iterator[BufferedIOBase]:
        """Open a file for reading."""
        path = self.path(file)
        with self._translated(path), path.open("rb") as handle:
            yield handle

    def list(self, folder: str) -> Iterable[str]:
        """Names of all files below a folder, sorted."""
        with self._translated(self.path(folder)):
            found = (Path(top, name) for top, _, names in os.walk(self.path(folder)) for name in names)
            return sorted(path.relative_to(self.root).as_posix() for path in found)

    def modified(self, folder: str) -> Mapping[str, float]:
        """When each file below a folder was last written."""
        found = dict[str, float]()
        with self._translated(self.path(folder)):
            for name in self.list(folder):
                with suppress(FileNotFoundError):
                    found[name] = self.path(name).stat().st_mtime
        return found

    def folders(self) -> Sequence[str]:
        """Names of the folders right below the root, sorted; links to folders are among them."""
        with self._translated(self.root):
            try:
                with os.scandir(self.root) as entries:
                    return sorted(entry.name for entry in entries if entry.is_dir())
            except (FileNotFoundError, NotADirectoryError):
                return []

    def size(self, file: str | FileRecord) -> int | None:
        """Bytes of a file; ``None`` if there is no such file."""
        path = self.path(file)
        with self._translated(path):
            try:
                return path.stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None

    def delete(self, name: str) -> None:
        """Remove a file, if there is one of that name."""
        path = self.path(name)
        with self._translated(path):
            path.unlink(missing_ok=True)

    def sha256(self, file: str | FileRecord) -> str | None:
        """SHA-256 of a file's content, in hexadecimal; ``None`` if there is no such file.

        A file that this process has kept, and that nobody has touched since, is not read again.
        """
        path = self.path(file)
        with self._translated(path):
            try:
                return WRITTEN.hash_of(path)
            except FileNotFoundError:
                return None

    def check_writable(self) -> None:
        """Raise now, not after an hour's work, if nothing can be written."""
        name = f".writable-{uuid.uuid4().hex[:12]}"  # of this call alone: two runs may start at the same moment
        with self._writing(name, lambda unfinished, _: unfinished.replace(self.path(name)), blamed=self.root):
            pass
        self.path(name).unlink()

    def free_bytes(self) -> int | None:
        """Bytes that the disk has left for this user."""
        with self._translated(self.root):
            return shutil.disk_usage(self.root).free

    def make_durable(self, records: Iterable[FileRecord]) -> None:
        """Write kept files and their folders to disk: after a power failure they are whole, and found under their names."""
        kept = [*records]
        sync_each(self._sync, kept)
        sync_each(self._sync_folder, {self.path(record).parent for record in kept})

    def _sync(self, record: FileRecord) -> None:
        path = self.path(record)
        with self._translated(path):
            try:
                sync(path)
            except FileNotFoundError:
                self.check_there()
                raise self.damaged(record) from None

    def _sync_folder(self, folder: Path) -> None:
        with self._translated(folder):
            sync_folder(folder)

    @contextmanager
    def _writing(
        self, name: str, put: Callable[[Path, FileRecord], object], *, sync: bool = True, blamed: Path | None = None
    ) -> Iterator[HashingFile]:
        """Write in a folder apart, so that a killed writer leaves nothing among the files; `put` moves the complete file.

        With `sync`, it is on disk before it is moved. Errors name the file, or the path `blamed`.
        """
        target = self.path(name)
        unfinished = self.root / UNFINISHED / f"{target.name}.{uuid.uuid4().hex[:12]}"
        with self._translated(blamed or target):
            self.make_folder(target.parent)
            self.make_folder(unfinished.parent)
            try:
                with open(unfinished, "xb", opener=private) as handle:
                    set_mode(handle.fileno(), mode_of(self.root) & 0o666)
                    file = HashingFile(name, handle)
                    yield file
                    handle.flush()
                    if sync:
                        os.fsync(handle.fileno())
                put(unfinished, file.record)
            except BaseException:
                unfinished.unlink(missing_ok=True)
                raise

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """Let one process at a time replace a file; the system holds the lock for it."""
        lock = self.root / UNFINISHED / f"{name.replace('/', '-')}.lock"
        self.make_folder(lock.parent)
        with open(lock, "ab", opener=private) as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def make_folder(self, folder: Path) -> None:
        """Make a folder below the root, and the root itself unless it has to exist already."""
        if folder.is_dir():  # as for all files of a folder but the first
            return
        if self.within is None:
            make_folder(self.root)
        below, mode = folder.relative_to(self.root).parts, mode_of(self.root)
        for depth in range(len(below)):
            made = self.root.joinpath(*below[: depth + 1])
            if not made.exists():
                made.mkdir(mode=PRIVATE, exist_ok=True)
                set_mode(made, mode)

    @contextmanager
    def _translated(self, target: Path) -> Iterator[None]:
        """Translate an OSError into a transient or terminal error; a missing file may mean a missing root."""
        try:
            yield
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                self.check_there()
            raise translate(error, target) from error


def sync_each(sync: Callable[[T], None], items: Iterable[T]) -> None:
    """Call `sync` for every item; from the first one that takes a while, several at a time, which a disk writes together."""
    left = iter(items)
    for item in left:
        began = time.perf_counter()
        sync(item)
        if time.perf_counter() - began > _QUICK_S:
            break
    with ThreadPoolExecutor(_SYNC_THREADS) as pool:
        list(pool.map(sync, left))


def sync(path: Path) -> None:
    """Wait until a file or a folder's list of names is on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Write a folder's list of names to disk, where the file system can."""
    try:
        sync(folder)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


def _etag(content: bytes | memoryview) -> ETag:
    return ETag(hashlib.sha256(content).hexdigest())


def _link_if_absent(unfinished: Path, target: Path) -> None:
    """Give a complete file its name, unless the name is taken."""
    try:
        target.hardlink_to(unfinished)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if not target.exists():  # of two writers at the same moment, the second wins
            unfinished.replace(target)
    unfinished.unlink(missing_ok=True)
