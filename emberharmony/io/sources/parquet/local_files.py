"""Files on this machine's disks and shares. A folder that cannot be listed is an error, never fewer rows."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO, ClassVar

from emberharmony.errors import DataError
from emberharmony.io.sources.parquet.files import ByteRange, FileVersion
from emberharmony.io.sources.parquet.folders import folders_of
from emberharmony.io.store.address import is_bucket
from emberharmony.io.store.errors import TRANSIENT, translate
from emberharmony.io.store.paths import checked_path, is_within

MAGIC = (b"PAR1", b"PARE")
"""First bytes of a Parquet file: of those of Hive and Spark, the name may have no suffix."""
HIDDEN = (".", "_")
"""First characters of the names of files that hold no rows: `_SUCCESS`, `_metadata`, `.part-0.crc`."""

_KINDS = {
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
    stat.S_ISFIFO: "a pipe",
    stat.S_ISSOCK: "a socket",
}


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on a disk, by its path; see the protocol `TableFile`."""

    address: str  # a path would take five times the memory
    folders: tuple[str, ...] = ()
    parallel_reads: ClassVar[int] = 1
    read_ahead_bytes: ClassVar[int] = 0  # the system reads ahead, in memory of its own
    in_flight_bytes: ClassVar[int] = 0
    most_probes: ClassVar[int] = 5_000  # takes a second or two

    @property
    def path(self) -> Path:
        """The path."""
        return Path(self.address)

    @property
    def name(self) -> str:
        """Name of the file in its folder."""
        return self.path.name

    def version(self) -> FileVersion:
        """Return the file's size and the time of its last change."""
        status = self.path.stat()
        return FileVersion(status.st_size, status.st_mtime_ns)

    def tail(self, version: FileVersion, n_bytes: int) -> bytes:
        """Return the last bytes of the file."""
        with self.path.open("rb") as handle:
            handle.seek(max(0, version.n_bytes - n_bytes))
            return handle.read(n_bytes)

    def open(self, version: FileVersion, needed: Sequence[ByteRange] = ()) -> BinaryIO:
        """Open the file if it is still of this version."""
        if self.version() != version:
            raise changed(self.address)
        return self.path.open("rb")


def changed(address: str) -> DataError:
    """Return the error for a file that was replaced since it was planned."""
    return DataError(
        f"{address} was changed after the job was planned; nothing was published. Run the same command again, which makes "
        f"a new plan."
    )


@dataclass(frozen=True)
class LocalPlace:
    """A path, a folder or a pattern, as a job gives it; see the protocol `Place`.

    Examples
    --------
    >>> LocalPlace("t/*.parquet").would_take_in("t/a.parquet"), LocalPlace("t/*.parquet").would_take_in("t/out/a.parquet")
    (True, False)
    """

    text: str

    @property
    def shown(self) -> str:
        """The path as the job gives it."""
        return self.text

    def check_credentials(self) -> None:
        """Do nothing: the user's rights on the files decide, when they are opened."""

    @cached_property
    def files(self) -> list[LocalFile]:
        """The files; links are followed."""
        try:
            files = self._listed()
        except OSError as error:
            if error.errno in TRANSIENT:
                raise translate(error, self.text) from error
            where = f"{error.filename} in " if error.filename and str(error.filename) != self.text else ""
            raise DataError(
                f"The source {where}{self.text} cannot be read: {(error.strerror or str(error)).lower()}. "
                f"Check `source.path`, and that this user may read it."
            ) from error
        if not files:
            raise DataError(
                f"The source {self.text} {self._why_none()}. Check `source.path`; relative paths start at {Path.cwd()}."
            )
        return files

    def file_at(self, address: str, folders: Sequence[str], version: FileVersion) -> LocalFile:
        """Return a file that was listed before."""
        return LocalFile(address, tuple(folders))

    def file_within(self, folder: str) -> str | None:
        """Return the path of a file that lies within a folder; links are followed."""
        if is_bucket(folder):
            return None
        sink = Path(folder)
        # Folders are few, and resolving a path takes as long as looking at its file.
        within = {parent for parent in {file.path.parent for file in self.files} if is_within(parent, sink)}
        found = (f for f in self.files if f.path.parent in within or (f.path.is_symlink() and is_within(f.path, sink)))
        return next((file.address for file in found), None)

    def would_take_in(self, address: str) -> bool:
        """Whether a file at this path would be one of the files; links are followed."""
        if is_bucket(address):
            return False
        file, path = Path(address), self._path
        if not self._is_pattern:
            return is_within(file, path)
        fixed = _fixed_part(path)
        if not is_within(file, fixed):
            return False
        inner = file.resolve().relative_to(fixed.resolve()).parts
        wanted = path.parts[len(fixed.parts) :]
        if "**" in wanted:
            return True
        # A folder that the pattern names stands for all files inside it.
        return len(inner) >= len(wanted) and all(map(name_matches, inner, wanted))

    @cached_property
    def _path(self) -> Path:
        return Path(checked_path(self.text))

    @property
    def _is_pattern(self) -> bool:
        return has_wildcard(str(self._path)) and not self._path.exists()

    def _listed(self) -> list[LocalFile]:
        path = self._path
        if self._is_pattern:
            base = _fixed_part(path)
            if "**" in path.parts:
                _refuse_root(base, self.text)
            found = [file for match in _matching(base, path.parts[len(base.parts) :]) for file in _in_place(match)]
            return [_file(file, base) for file in sorted(set(found))]
        if path.is_dir():
            _refuse_root(path, self.text)
            return [_file(file, path) for file in sorted(_parquet_files(path, ()))]
        return [_file(file, path.parent) for file in _in_place(path)] if os.path.lexists(path) else []

    def _why_none(self) -> str:
        if not self._path.is_dir():
            return "matches no file" if self._is_pattern else "does not exist"
        others = [name for name in sorted(os.listdir(self._path)) if not re.match(r"[._]", name)]  # noqa: PTH208
        return f"holds no Parquet files, but others such as {others[0]}" if others else "holds no Parquet files"


def has_wildcard(text: str) -> bool:
    """Whether a text may be a pattern."""
    return any(sign in text for sign in "*?[")


def name_matches(name: str, part: str) -> bool:
    """Whether a name matches a part of a pattern; hidden names only match if the part names them."""
    return fnmatchcase(name, part) and (part.startswith(HIDDEN) or not name.startswith(HIDDEN))


def check_stars(part: str, example: str) -> None:
    """Refuse ``**`` within a part of a pattern.

    Raises
    ------
    DataError
        The message contains `example`, which says how to write it.
    """
    if part != "**" and "**" in part:
        raise DataError(
            f"source.path contains {part!r}: '**' stands for folders at any depth and must be a whole part of a path, as in "
            f"{example!r}. For a part of a name write '*'."
        )


def _file(path: Path, base: Path) -> LocalFile:
    return LocalFile(str(path), folders_of(base.absolute().parts, path.parent.relative_to(base).parts))


def _refuse_root(folder: Path, place: str) -> None:
    if folder.resolve() == folder.resolve().parent:
        raise DataError(f"The source {place} is the whole file system; name the folder of the table.")


def _fixed_part(pattern: Path) -> Path:
    """Return the longest part of a pattern without wildcards: a folder that holds all of its files."""
    return Path(*takewhile(lambda part: not has_wildcard(part), pattern.parts))


def _in_place(path: Path) -> Iterator[Path]:
    """Yield the files of a folder, or a file."""
    if path.is_dir():
        yield from _parquet_files(path, ())
    else:
        _check_regular(path)
        yield path


def _parquet_files(folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    """Yield the Parquet files at any depth; links are followed."""
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        raise DataError(
            f"{folder} is a link to a folder that contains it, so a listing would never end. Remove the link, or "
            f"name other folders."
        )
    for entry in _entries(folder):
        path = folder / entry.name
        if entry.name.startswith(HIDDEN):
            continue
        if entry.is_dir():
            yield from _parquet_files(path, (*above, here))
        elif entry.is_symlink() and not path.exists():
            raise DataError(f"{path} is a broken link, so rows may be missing. Remove the link, or repair it.")
        elif _is_parquet(path, entry):
            yield path


def _is_parquet(path: Path, entry: os.DirEntry[str]) -> bool:
    """Whether a file is Parquet by its suffix, or by its first bytes."""
    if path.suffix.lower() == ".parquet":
        _check_regular(path)
        return True
    if not entry.is_file():
        return False
    with path.open("rb") as handle:
        return handle.read(4) in MAGIC


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _matching(folder: Path, wanted: Sequence[str]) -> Iterator[Path]:
    """Yield the files and folders below a folder that match a pattern's parts."""
    if not wanted:
        yield folder
        return
    first, *rest = wanted
    if first == "**":
        yield from _matching(folder, rest or ["*"])
        for entry in _entries(folder):
            if entry.is_dir() and not entry.is_symlink() and not entry.name.startswith(HIDDEN):
                yield from _matching(folder / entry.name, wanted)
        return
    check_stars(first, str(folder / "**" / "*.parquet"))
    if not has_wildcard(first):
        if os.path.lexists(folder / first):
            yield from _matching(folder / first, rest)
        return
    for entry in _entries(folder):
        if name_matches(entry.name, first) and (not rest or entry.is_dir()):
            yield from _matching(folder / entry.name, rest)


def _check_regular(path: Path) -> None:
    mode = path.stat().st_mode
    kind = next((kind for is_one, kind in _KINDS.items() if is_one(mode)), None)
    if kind:
        raise DataError(f"The source {path} is {kind}, not a file. Name a Parquet file, a folder of them or a pattern.")
