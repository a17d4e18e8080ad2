"""Lists the files that a path, folder or pattern names. A folder that cannot be listed is an error, never fewer rows."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from emberharmony.errors import DataError
from emberharmony.io.store.errors import TRANSIENT, translate
from emberharmony.io.store.paths import is_within

_MAGIC = (b"PAR1", b"PARE")
_HIDDEN = (".", "_")
"""First characters of the names of files that hold no rows: `_SUCCESS`, `_metadata`, `.part-0.crc`."""

_KINDS = {
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
    stat.S_ISFIFO: "a pipe",
    stat.S_ISSOCK: "a socket",
}


class ListedFile(NamedTuple):
    """A file, and the folder below which ``key=value`` folders are columns."""

    path: Path
    base: Path


def list_files(places: Sequence[str]) -> list[ListedFile]:
    """List the Parquet files of paths, folders and patterns, in the order of the places and within each by name.

    Raises
    ------
    DataError
        If a place names no Parquet file, if a file is named twice or is not a regular file, or if a folder cannot be listed.
    TransientError
        If they lie on a network share that is not available.
    """
    listed = [file for place in places for file in _listed(place)]
    if len(places) > 1:
        seen = set[str]()
        for file in listed:
            name = str(file.path.absolute())
            if name in seen:
                raise DataError(f"source.path names {file.path} twice; each file's rows are read once. Name it once.")
            seen.add(name)
    return listed


def would_take_in(place: str, file: Path) -> bool:
    """Whether a folder or pattern names a file at this path, which need not exist; links are followed.

    Examples
    --------
    >>> would_take_in("t/*.parquet", Path("t/a.parquet")), would_take_in("t/*.parquet", Path("t/out/a.parquet"))
    (True, False)
    """
    path = Path(place).expanduser()
    if not _is_pattern(place):
        return is_within(file, path)
    fixed = _fixed_part(path)
    if not is_within(file, fixed):
        return False
    inner = file.resolve().relative_to(fixed.resolve()).parts
    wanted = path.parts[len(fixed.parts) :]
    if "**" in wanted:
        return True
    # A folder that the pattern names stands for all files inside it.
    return len(inner) >= len(wanted) and all(map(_matches, inner, wanted))


def _listed(place: str) -> list[ListedFile]:
    try:
        files = _files_of(place)
    except OSError as error:
        if error.errno in TRANSIENT:
            raise translate(error, place) from error
        where = f"{error.filename} in " if error.filename and str(error.filename) != place else ""
        raise DataError(
            f"The source {where}{place} cannot be read: {(error.strerror or str(error)).lower()}. Check `source.path`, and "
            f"that this user may read it."
        ) from error
    if not files:
        raise DataError(f"The source {place} {_why_none(place)}. Check `source.path`; relative paths start at {Path.cwd()}.")
    return files


def _files_of(place: str) -> list[ListedFile]:
    path = Path(place).expanduser()
    if _is_pattern(place):
        base = _fixed_part(path)
        if "**" in path.parts:
            _refuse_root(base, place)
        found = [file for match in _matching(base, path.parts[len(base.parts) :]) for file in _in_place(match)]
        return [ListedFile(file, base) for file in sorted(set(found))]
    if path.is_dir():
        _refuse_root(path, place)
        return [ListedFile(file, path) for file in sorted(_parquet_files(path, ()))]
    return [ListedFile(file, path.parent) for file in _in_place(path)] if os.path.lexists(path) else []


def _refuse_root(folder: Path, place: str) -> None:
    if folder.resolve() == folder.resolve().parent:
        raise DataError(f"The source {place} is the whole file system; name the folder of the table.")


def _is_pattern(place: str) -> bool:
    return any(sign in place for sign in "*?[") and not Path(place).expanduser().exists()


def _fixed_part(pattern: Path) -> Path:
    """Return the longest part of a pattern without wildcards: a folder that holds all of its files."""
    parts = list(takewhile(lambda part: not any(sign in part for sign in "*?["), pattern.parts))
    return Path(*parts)


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
        if entry.name.startswith(_HIDDEN):
            continue
        if entry.is_dir():
            yield from _parquet_files(path, (*above, here))
        elif entry.is_symlink() and not path.exists():
            raise DataError(f"{path} is a broken link, so rows may be missing. Remove the link, or repair it.")
        elif _is_parquet(path, entry):
            yield path


def _is_parquet(path: Path, entry: os.DirEntry[str]) -> bool:
    """Whether a file is Parquet by its suffix, or by its first bytes: files of Hive and Spark may have no suffix."""
    if path.suffix.lower() == ".parquet":
        _check_regular(path)
        return True
    if not entry.is_file():
        return False
    with path.open("rb") as handle:
        return handle.read(4) in _MAGIC


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
            if entry.is_dir() and not entry.is_symlink() and not entry.name.startswith(_HIDDEN):
                yield from _matching(folder / entry.name, wanted)
        return
    if "**" in first:
        raise DataError(
            f"source.path contains {first!r}: '**' stands for folders at any depth and must be a whole part of a path, as in "
            f"{str(folder / '**' / '*.parquet')!r}. For a part of a name write '*'."
        )
    if not any(sign in first for sign in "*?["):
        if os.path.lexists(folder / first):
            yield from _matching(folder / first, rest)
        return
    for entry in _entries(folder):
        if _matches(entry.name, first) and (not rest or entry.is_dir()):
            yield from _matching(folder / entry.name, rest)


def _matches(name: str, part: str) -> bool:
    return fnmatchcase(name, part) and (part.startswith(_HIDDEN) or not name.startswith(_HIDDEN))


def _check_regular(path: Path) -> None:
    mode = path.stat().st_mode
    kind = next((kind for is_one, kind in _KINDS.items() if is_one(mode)), None)
    if kind:
        raise DataError(f"The source {path} is {kind}, not a file. Name a Parquet file, a folder of them or a pattern.")


def _why_none(place: str) -> str:
    path = Path(place).expanduser()
    if not path.is_dir():
        return "matches no file" if _is_pattern(place) else "does not exist"
    others = [name for name in sorted(os.listdir(path)) if not re.match(r"[._]", name)]  # noqa: PTH208
    return f"holds no Parquet files, but others such as {others[0]}" if others else "holds no Parquet files"
