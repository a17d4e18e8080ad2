"""Files in buckets: one object, all below a prefix, or those that a pattern matches."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import takewhile
from typing import BinaryIO, ClassVar, Self, cast

from emberharmony.errors import DataError, MissingLibraryError, TerminalError
from emberharmony.io.sources.parquet.files import ByteRange, FileVersion
from emberharmony.io.sources.parquet.folders import folders_of
from emberharmony.io.sources.parquet.local_files import HIDDEN, MAGIC, changed, check_stars, has_wildcard, name_matches
from emberharmony.io.sources.parquet.ranged_file import MOST_BYTES, READ_AHEAD_BYTES, Content, RangedFile
from emberharmony.io.store.address import BucketAddress, is_bucket
from emberharmony.io.store.bucket import Bucket
from emberharmony.io.store.clients import client_of
from emberharmony.io.store.objects import ConditionFailedError, ObjectInfo, Objects, Revision
from emberharmony.threads import in_parallel

_LEAST_BYTES = 12
"""A Parquet file holds its first and last four bytes, and the length of its footer."""
_QUERY = re.compile(r"\?(?=\w+=)")
"""Begins the query of an address; any other question mark is part of a pattern."""


@dataclass(frozen=True)
class ObjectFile:
    """An object in the version that was listed; see the protocol `TableFile`."""

    objects: Objects = field(repr=False, compare=False)
    root: BucketAddress
    key: str
    listed: FileVersion
    folders: tuple[str, ...] = ()
    parallel_reads: ClassVar[int] = 64  # over 30 ms, two thirds of the time of 32
    read_ahead_bytes: ClassVar[int] = READ_AHEAD_BYTES
    in_flight_bytes: ClassVar[int] = MOST_BYTES
    most_probes: ClassVar[int] = 512

    @property
    def address(self) -> str:
        """The address of the object, without the query."""
        return f"{self.root.shown}/{self.key}"

    @property
    def name(self) -> str:
        """Last part of the key."""
        return self.key.rpartition("/")[2]

    def version(self) -> FileVersion:
        """Return the version that was listed; every read asks for it."""
        return self.listed

    def tail(self, version: FileVersion, n_bytes: int) -> bytes:
        """Return the last bytes of the object."""
        return bytes(self._range(version, ByteRange(max(0, version.n_bytes - n_bytes), version.n_bytes)))

    def open(self, version: FileVersion, needed: Sequence[ByteRange] = ()) -> BinaryIO:
        """Open the object; ranges that are needed are read at once, if they are not too long together."""
        return cast(BinaryIO, RangedFile(partial(self._range, version), version.n_bytes, needed))

    def is_parquet(self) -> bool:
        """Whether it is Parquet by its suffix, or by its first bytes."""
        if self.name.lower().endswith(".parquet"):
            return True
        return self.listed.n_bytes >= _LEAST_BYTES and bytes(self._range(self.listed, ByteRange(0, 4))) in MAGIC

    def _range(self, version: FileVersion, part: ByteRange) -> Content:
        try:
            content = self.objects.get_range(self.key, part.start, part.stop, revision=Revision(str(version.tag)))
        except ConditionFailedError:
            raise changed(self.address) from None
        except TerminalError as error:
            raise DataError(f"{error} It is part of the source; nothing was published.") from error
        if len(content) != max(0, part.n_bytes):
            raise changed(self.address)
        return content


@dataclass(frozen=True)
class ObjectPlace:
    """An object, a prefix or a pattern, as a job gives it; see the protocol `Place`.

    Examples
    --------
    >>> place = ObjectPlace.of("s3://lake/day=*/part-?.parquet?region=eu-west-1")
    >>> place.key, place.would_take_in("s3://lake/day=1/part-0.parquet"), place.would_take_in("s3://lake/day=1/x.parquet")
    ('day=*/part-?.parquet', True, False)
    """

    objects: Objects = field(repr=False, compare=False)
    root: BucketAddress
    key: str

    @classmethod
    def of(cls, text: str) -> Self:
        """Return what an address names; nothing is asked of the bucket.

        Raises
        ------
        PlanError
            If it is no address of a bucket.
        """
        shown, *query = _QUERY.split(text, maxsplit=1)
        scheme, _, path = shown.partition("://")
        bucket, _, key = path.partition("/")
        root = BucketAddress.parse("?".join([f"{scheme}://{bucket}", *query]))
        return cls(Bucket(root), root, "/".join(part for part in key.split("/") if part))

    @property
    def shown(self) -> str:
        """The address without its query."""
        return f"{self.root.shown}/{self.key}".rstrip("/")

    def check_credentials(self) -> None:
        """Make the bucket's client, which looks for its library and its credentials."""
        client_of(self.root)

    @cached_property
    def files(self) -> list[ObjectFile]:
        """The objects that hold rows, sorted by the parts of their keys, as paths are."""
        check = "Check `source.path`, and that the credentials of this process may list and read it."
        try:
            whole = self.objects.info(self.key) if self.key else None
            if whole is not None:
                return [self._file(whole, self.key.rpartition("/")[0])]
            if self._is_pattern:
                found, base = self._matching(), self._fixed
            else:
                found, base = list(self._below(self.key)), self.key
        except MissingLibraryError:
            raise
        except TerminalError as error:
            raise DataError(f"The source {self.shown} cannot be listed: {error} {check}") from error
        files = [self._file(info, base) for info, _ in found]
        exact = [is_named for _, is_named in found]
        probed = in_parallel(ObjectFile.is_parquet, files, ObjectFile.parallel_reads)
        kept = [file for file, is_named, is_one in zip(files, exact, probed, strict=True) if is_named or is_one]
        if not kept:
            raise DataError(f"The source {self.shown} {self._why_none(files)}. {check}")
        return sorted(kept, key=lambda file: file.key.split("/"))

    def file_within(self, folder: str) -> str | None:
        """Return the address of an object that lies below a prefix."""
        prefix = self._key_in_bucket(folder)
        if prefix is None:
            return None
        return next((file.address for file in self.files if _is_below(file.key, prefix)), None)

    def would_take_in(self, address: str) -> bool:
        """Whether a Parquet file at this address would be one of the objects."""
        key = self._key_in_bucket(address)
        if key is None:
            return False
        if not has_wildcard(self.key):
            return key == self.key or _is_below(key, self.key)
        return remainder(key.split("/"), self.key.split("/")) is not None

    def file_at(self, address: str, folders: Sequence[str], version: FileVersion) -> ObjectFile:
        """Return a file that was listed before."""
        key = address.removeprefix(f"{self.root.shown}/")
        return ObjectFile(self.objects, self.root, key, version, tuple(folders))

    @cached_property
    def _is_pattern(self) -> bool:
        return has_wildcard(self.key) and next(iter(self.objects.list(self.key)), None) is None

    @property
    def _fixed(self) -> str:
        """The longest part of the pattern without wildcards: a prefix of all of its objects."""
        return "/".join(takewhile(lambda part: not has_wildcard(part), self.key.split("/")))

    def _matching(self) -> list[tuple[ObjectInfo, bool]]:
        """Objects that the pattern matches, and whether it matches the object itself, not a folder above it."""
        wanted = self.key.split("/")
        for part in wanted:
            check_stars(part, f"{self.root.shown}/{self._fixed}/**/*.parquet")
        left = ((info, remainder(info.key.split("/"), wanted)) for info in self._objects_in(self._fixed))
        return [(info, n == 0) for info, n in left if n is not None]

    def _below(self, prefix: str) -> Iterator[tuple[ObjectInfo, bool]]:
        start = len(prefix) + 1 if prefix else 0
        for info in self._objects_in(prefix):
            if not any(part.startswith(HIDDEN) for part in info.key[start:].split("/")):
                yield info, False

    def _objects_in(self, prefix: str) -> list[ObjectInfo]:
        """Objects below a prefix, without the empty ones that stand for folders."""
        infos = list(self.objects.list(prefix))
        empty = {info.key for info in infos if not info.n_bytes}
        if empty:
            above = {key[:i] for key in (info.key for info in infos) for i, sign in enumerate(key) if sign == "/"}
            empty &= above
        return [info for info in infos if info.key not in empty]

    def _file(self, info: ObjectInfo, base: str) -> ObjectFile:
        above = base.split("/")
        below = info.key[len(base) + 1 if base else 0 :].split("/")[:-1]
        version = FileVersion(info.n_bytes, info.revision)
        return ObjectFile(self.objects, self.root, info.key, version, folders_of(above, below))

    def _key_in_bucket(self, address: str) -> str | None:
        """The key of an address, if it is one in the same bucket."""
        if not is_bucket(address):
            return None
        other = BucketAddress.parse(address)
        return other.key if (other.scheme, other.bucket) == (self.root.scheme, self.root.bucket) else None

    def _why_none(self, others: Sequence[ObjectFile]) -> str:
        if self._is_pattern and not others:
            return "matches no object"
        if others:
            return f"holds no Parquet files, but others such as {others[0].name}"
        return "does not exist, or holds no Parquet files"


def remainder(parts: Sequence[str], wanted: Sequence[str]) -> int | None:
    """Return how many parts of a key are left below what a pattern matches; ``None`` if it does not match.

    A folder that the pattern matches stands for the files inside it that are not hidden.

    Examples
    --------
    >>> remainder(["t", "a", "x"], ["t", "**", "x*"]), remainder(["t", "a", "x"], ["*"]), remainder(["t"], ["u"])
    (0, 2, None)
    """
    if not wanted:
        return None if any(part.startswith(HIDDEN) for part in parts) else len(parts)
    if not parts:
        return None
    first, rest = wanted[0], wanted[1:]
    if first == "**":
        deeper = None if parts[0].startswith(HIDDEN) else remainder(parts[1:], wanted)
        found = [n for n in (remainder(parts, rest or ["*"]), deeper) if n is not None]
        return min(found, default=None)
    matches = name_matches(parts[0], first) if has_wildcard(first) else parts[0] == first
    return remainder(parts[1:], rest) if matches else None


def _is_below(key: str, prefix: str) -> bool:
    return not prefix or key.startswith(f"{prefix}/")
