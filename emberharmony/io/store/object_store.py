"""The store over a bucket: files are objects below a prefix."""

from __future__ import annotations

import hashlib
import io
import uuid
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedIOBase, BufferedReader
from tempfile import SpooledTemporaryFile
from typing import IO, Any, cast

from emberharmony.errors import DamagedError, TerminalError, TransientError
from emberharmony.io.placed_file import PlacedFile
from emberharmony.io.store.address import BucketAddress
from emberharmony.io.store.base import ETag, FileRecord, HashingFile, Store
from emberharmony.io.store.objects import ABSENT, ConditionFailedError, ObjectInfo, Objects, Revision
from emberharmony.io.store.recent import RecentFiles
from emberharmony.io.store.uploads import PendingUploads
from emberharmony.threads import in_parallel

_ATTEMPTS = 3
"""How often a conditional write whose answer was lost is looked for, and written again."""
_SPOOLED_BYTES = 8 * 2**20
"""Files up to this size are uploaded from memory, larger ones from a temporary file that has no name."""
WHOLE_BYTES = 4 * 2**20
"""Files up to this size are read by one request."""
AT_ONCE_BYTES = 32 * 2**20
"""Kept files up to this size that are read as a whole are fetched by requests at the same time."""
READ_BYTES = 2**20
AHEAD_BYTES = 8 * 2**20
"""Bytes that are fetched at a time, at most, from a file that is read from one end to the other."""
_PART_BYTES = 4 * 2**20
_GAP_BYTES = 2**18
"""Ranges of a file that are no farther apart are fetched as one."""
_RANGES = 8
"""Requests for one file at a time, at most."""
_READERS = 32


@dataclass(frozen=True)
class ObjectStore(Store):
    """Files below a prefix of a bucket.

    An object is complete when it has its key, so nothing needs to be renamed. Kept files have the hash of their content in
    their names and never change: their size shows that they are whole, and nothing is downloaded to check them. Their upload
    goes on behind the work that makes the next file; who asks for one, or makes it durable, waits for its end. Small ones that
    this process has kept lately are not fetched to be read.

    Parameters
    ----------
    objects : Objects
        The bucket.
    prefix : BucketAddress
        The root.
    """

    objects: Objects
    prefix: BucketAddress
    _pending: PendingUploads = field(default_factory=PendingUploads, init=False, repr=False, compare=False)
    _recent: RecentFiles = field(default_factory=RecentFiles, init=False, repr=False, compare=False)

    @property
    def address(self) -> str:
        """Address of the root, with what a worker's environment does not say of the bucket."""
        return str(self.prefix)

    def address_of(self, file: str | FileRecord) -> str:
        """Address of a file, for messages."""
        return (self.prefix / _name(file)).shown

    @property
    def readers(self) -> int:
        """Several at a time: of a small file, nearly all time is spent waiting."""
        return _READERS

    @property
    def heartbeat_s(self) -> float:
        """Seconds between two heartbeats: buckets allow about one write a second to a name, and each one costs."""
        return 15.0

    def get(self, file: str | FileRecord) -> bytes:
        """Return the content of a file."""
        content = self._content(file)
        if content is None:
            raise self._missing(file)
        return content

    def _content(self, file: str | FileRecord) -> bytes | None:
        """Return the content of a file, if there is one: of a kept one, what this process has written lately."""
        recent = None if isinstance(file, str) else self._recent.find(self.prefix.key_of(file.kept_as))
        if recent is not None:
            return recent
        found = self.objects.get(self._key(file))
        return None if found is None else found[0]

    @contextmanager
    def open(self, file: str | FileRecord) -> Iterator[BufferedIOBase]:
        """Open a file for reading; larger ones are read by ranges, all of the state that they were opened in."""
        info = self._info(file)
        if info is None:
            raise self._missing(file)
        if info.n_bytes <= WHOLE_BYTES:
            yield cast(BufferedIOBase, io.BytesIO(self.get(file)))
            return
        with BufferedReader(ObjectFile(self.objects, info), READ_BYTES) as handle:
            yield handle

    @contextmanager
    def open_checked(self, record: FileRecord, *, whole: bool = False) -> Iterator[BufferedIOBase]:
        """Open a kept file for reading; the size of one that is read at once is compared meanwhile."""
        if record.n_bytes <= WHOLE_BYTES:
            yield cast(BufferedIOBase, io.BytesIO(self._in_one(record)))
        elif whole and record.n_bytes <= AT_ONCE_BYTES:
            yield cast(BufferedIOBase, io.BytesIO(self.read_ranges(record, [(0, record.n_bytes)])[0]))
        else:
            with super().open_checked(record) as handle:
                yield handle

    def _in_one(self, record: FileRecord) -> bytes:
        """Return the content of a small kept file, which one request reads and checks."""
        content = self._content(record)
        if content is None or len(content) != record.n_bytes:
            raise self.damaged(record)
        return content

    def read_ranges(self, record: FileRecord, ranges: Sequence[tuple[int, int]]) -> Sequence[bytes | memoryview]:
        """Return ranges of a kept file: near ones by one request, all at the same time, while the file's size is compared."""
        key, wholes = self._key(record), _joined(ranges)
        held = [memoryview(bytearray(stop - start)) for start, stop in wholes]

        def fetch(part: tuple[memoryview, int, int] | None) -> None:
            if part is None:
                self.check(record)
                return
            into, start, stop = part
            content = self.objects.get_range(key, start, stop)
            if len(content) != len(into):
                raise self.damaged(record)
            into[:] = content

        parts = [
            (whole[start - begin : stop - begin], start, stop)
            for whole, (begin, end) in zip(held, wholes, strict=True)
            for start, stop in _parts(begin, end)
        ]
        for _ in in_parallel(fetch, [None, *parts], 1 + min(len(parts), _RANGES)):  # of a missing file, the check says so
            pass
        begins = [begin for begin, _ in wholes]
        places = [bisect_right(begins, start) - 1 for start, _ in ranges]
        return [held[i][start - begins[i] : stop - begins[i]] for i, (start, stop) in zip(places, ranges, strict=True)]

    def put(self, name: str, content: bytes | memoryview) -> None:
        """Write a file, in place of one of that name."""
        key = self._key(name)
        self._recent.drop(key)
        self.objects.put(key, content)

    def put_if_absent(self, name: str, content: bytes | memoryview) -> bool:
        """Write a file unless there is one of that name; returns whether the file has this content now."""
        is_this = self._put_if(name, content, ABSENT) is not None
        if is_this:
            self._recent.add(self._key(name), content)
        return is_this

    def recent(self, name: str) -> bytes | None:
        """Return the content of a small file that `put_if_absent` has written lately."""
        return self._recent.find(self.prefix.key_of(name))

    def read_with_etag(self, name: str) -> tuple[bytes, ETag] | None:
        """Return the content of a file and its state; ``None`` if there is no such file."""
        found = self.objects.get(self._key(name))
        return None if found is None else (found[0], ETag(found[1]))

    def replace_if_unchanged(self, name: str, content: bytes | memoryview, etag: ETag) -> ETag | None:
        """Write a file that is in the given state; returns its new state, ``None`` if it was in another."""
        self._recent.drop(self._key(name))
        revision = self._put_if(name, content, Revision(etag))
        return None if revision is None else ETag(revision)

    def _put_if(self, name: str, content: bytes | memoryview, revision: Revision) -> Revision | None:
        """Write under a condition. If the answer was lost, the file itself tells whether it was written."""
        key = self._key(name)
        for further in reversed(range(_ATTEMPTS)):
            try:
                return self.objects.put(key, content, only_if=revision)
            except ConditionFailedError:
                found = self.objects.get(key)
                if found is None and revision == ABSENT and further:
                    continue  # S3 refuses one of two creations at the same moment before the other is done (409)
                return found[1] if found is not None and found[0] == content else None
            except TransientError:
                if not further:
                    raise
        return None

    def keep(self, name: str, content: bytes | memoryview) -> FileRecord:
        """Keep a file whose content is at hand; what one request may hold is uploaded as it is, without a copy."""
        if len(content) > _SPOOLED_BYTES:
            return super().keep(name, content)
        record = FileRecord(name, len(content), hashlib.sha256(content).hexdigest())
        self._upload_small(record, content)
        return record

    @contextmanager
    def keeping(self, name: str) -> Iterator[HashingFile]:
        """Open a file to write; its upload begins when the block ends, under the name that holds the hash of its content."""
        spooled = SpooledTemporaryFile(_SPOOLED_BYTES)  # noqa: SIM115 - closed once it is uploaded
        file = HashingFile(name, cast(Any, spooled))
        try:
            yield file
            if file.record.n_bytes > _SPOOLED_BYTES:
                self._upload(file.record, lambda key: self._put_file(key, spooled))
            else:
                spooled.seek(0)
                content = spooled.read()
                spooled.close()
                self._upload_small(file.record, content)
        except BaseException:
            spooled.close()
            raise

    def _upload_small(self, record: FileRecord, content: bytes | memoryview) -> None:
        self._recent.add(self.prefix.key_of(record.kept_as), content)
        self._upload(record, lambda key: self.objects.put(key, content))

    def _put_file(self, key: str, file: IO[bytes]) -> None:
        file.seek(0)
        self.objects.put(key, cast(Any, file))
        file.close()

    def _upload(self, record: FileRecord, put: Callable[[str], object]) -> None:
        """Upload a kept file, behind the work of the caller if the bucket answers late."""
        key = self.prefix.key_of(record.kept_as)
        if self.objects.answers_late:
            self._pending.begin(key, lambda: put(key), record.n_bytes)
        else:
            put(key)

    def list(self, folder: str) -> Iterable[str]:
        """Names of all files below a folder, sorted."""
        start = len(self.prefix.key) + 1 if self.prefix.key else 0
        return sorted(info.key[start:] for info in self._infos(folder))

    def modified(self, folder: str) -> Mapping[str, float]:
        """When each file below a folder was last written, as the listing says."""
        start = len(self.prefix.key) + 1 if self.prefix.key else 0
        infos = self._infos(folder)
        return {info.key[start:]: info.modified.timestamp() for info in infos if info.modified is not None}

    def folders(self) -> Sequence[str]:
        """Names of the folders right below the root, sorted."""
        return self.objects.folders(self.prefix.key)

    def size(self, file: str | FileRecord) -> int | None:
        """Bytes of a file; ``None`` if there is no such file."""
        info = self.objects.info(self._key(file))
        return None if info is None else info.n_bytes

    def delete(self, name: str) -> None:
        """Remove a file, if there is one of that name."""
        key = self._key(name)
        self._recent.drop(key)
        self.objects.delete([key])

    def sha256(self, file: str | FileRecord) -> str | None:
        """SHA-256 of a file's content, in hexadecimal; ``None`` if there is no such file. Downloads it."""
        info = self.objects.info(self._key(file))
        if info is None:
            return None
        digest = hashlib.sha256()
        for start in range(0, info.n_bytes, _SPOOLED_BYTES):
            digest.update(self.objects.get_range(info.key, start, min(info.n_bytes, start + _SPOOLED_BYTES)))
        return digest.hexdigest()

    def holds(self, record: FileRecord) -> bool:
        """Whether a kept file is there; its name holds its hash, and its size is compared."""
        return self.size(record) == record.n_bytes

    def damaged(self, record: FileRecord) -> DamagedError:
        """Return the error, and forget all recent files: another process may have made some of them again."""
        self._recent.clear()
        return super().damaged(record)

    def check_there(self) -> None:
        """Do nothing: a bucket has no folders that could be missing."""

    def check_writable(self) -> None:
        """Raise now, not after an hour's work, if nothing can be written."""
        name = f".writable-{uuid.uuid4().hex[:12]}"
        self.put(name, b"")
        self.delete(name)

    def make_durable(self, records: Iterable[FileRecord]) -> None:
        """Wait for the uploads: a bucket answers once an object is safe."""
        for record in records:
            self._pending.wait(self.prefix.key_of(record.kept_as))

    def _info(self, file: str | FileRecord) -> ObjectInfo | None:
        """What is known of a file. A kept one never changes, and its record says how long it is: the bucket is not asked."""
        key = self._key(file)
        return self.objects.info(key) if isinstance(file, str) else ObjectInfo(key, file.n_bytes, Revision(""))

    def _infos(self, folder: str) -> Iterator[ObjectInfo]:
        """Yield what is known of the files below a folder, once they are uploaded."""
        key = self.prefix.key_of(folder)
        self._pending.wait_below(key)
        return self.objects.list(key)

    def _key(self, file: str | FileRecord) -> str:
        """Return the key of a file, once it is uploaded."""
        key = self.prefix.key_of(_name(file))
        self._pending.wait(key)
        return key

    def _missing(self, file: str | FileRecord) -> TerminalError:
        return TerminalError(f"{self.address_of(file)} is missing.")


class ObjectFile(PlacedFile):
    """An object that is read by ranges, all of one revision.

    Who reads on where the last range ended gets longer ones, by several requests at the same time.

    Parameters
    ----------
    objects : Objects
        The bucket.
    info : ObjectInfo
        The object, in the state that is read.
    changed : callable, optional
        Makes the error that is raised if the object has been replaced; by default a `TransientError`.
    """

    def __init__(self, objects: Objects, info: ObjectInfo, changed: Callable[[], Exception] | None = None) -> None:
        super().__init__(info.n_bytes)
        self._objects = objects
        self._info = info
        self._changed = changed or (lambda: TransientError(f"{info.key} was replaced while it was read. Read it again."))
        self._ahead, self._ahead_at, self._window = memoryview(b""), 0, 0

    def readall(self) -> bytes:
        """Return all further bytes, by one request."""
        return bytes(self._next(self._info.n_bytes))

    def _next(self, most: int) -> bytes | memoryview:
        start, stop = self._place, min(self._info.n_bytes, self._place + most)
        if stop <= start:
            return b""
        end = self._ahead_at + len(self._ahead)
        if not self._ahead_at <= start < end:
            self._window = min(2 * max(self._window, most), AHEAD_BYTES) if start == end else 0
            self._ahead, self._ahead_at = memoryview(b""), start  # before the next bytes are fetched, not after it
            self._ahead = self._fetched(start, min(self._info.n_bytes, start + max(most, self._window)))
        content = self._ahead[start - self._ahead_at : stop - self._ahead_at]
        self._place = start + len(content)
        return content

    def _fetched(self, start: int, stop: int) -> memoryview:
        parts = _parts(start, stop)
        found = (
            list(in_parallel(self._range, parts, len(parts))) if stop - start <= AHEAD_BYTES else [self._range((start, stop))]
        )
        return memoryview(found[0] if len(found) == 1 else b"".join(found))

    def _range(self, part: tuple[int, int]) -> bytes | memoryview:
        try:
            return self._objects.get_range(self._info.key, *part, revision=self._info.revision or None)
        except ConditionFailedError:
            raise self._changed() from None


def _joined(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ranges that hold all those of a file, which are in order; those that are near each other become one.

    Examples
    --------
    >>> _joined([(0, 10), (20, 30), (900_000, 900_100)])
    [(0, 30), (900000, 900100)]
    """
    joined = list[tuple[int, int]]()
    for start, stop in ranges:
        if joined and start - joined[-1][1] <= _GAP_BYTES:
            start, stop = joined[-1][0], max(stop, joined.pop()[1])
        joined.append((start, stop))
    return joined


def _parts(start: int, stop: int) -> list[tuple[int, int]]:
    """Return what is fetched by one request each."""
    return [(at, min(stop, at + _PART_BYTES)) for at in range(start, stop, _PART_BYTES)]


def _name(file: str | FileRecord) -> str:
    return file if isinstance(file, str) else file.kept_as
