"""Files in folders, and the columns that stand in the folders' names, as in ``year=2024/part.parquet``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa

from emberharmony.errors import DataError
from emberharmony.io.local_paths import is_within
from emberharmony.io.storage_errors import PASSING, told

_NULL = "__HIVE_DEFAULT_PARTITION__"


def paths_of(pattern: str) -> tuple[list[Path], Path]:
    """The files of a path or pattern, and the folder below which their folders' names tell of them.

    Raises
    ------
    DataError
        If there is none, or the system refuses to look.
    TransientError
        If they lie on a share that is away.
    """
    try:
        return _paths_of(pattern)
    except OSError as error:
        if error.errno in PASSING:
            raise told(error, pattern) from error
        raise DataError(
            f"The source {pattern} cannot be read: {(error.strerror or str(error)).lower()}. Check `source.path`, and "
            f"that this user may read it."
        ) from error


def _paths_of(pattern: str) -> tuple[list[Path], Path]:
    path = Path(pattern).expanduser()
    is_pattern = not path.exists() and any(sign in pattern for sign in "*?[")
    if path.is_dir():
        found = sorted(p for p in path.rglob("*.parquet") if not any(part[0] in "._" for part in p.relative_to(path).parts))
    elif is_pattern:
        found = sorted(p for p in Path(path.anchor).glob(str(path.relative_to(path.anchor))) if p.is_file())
    else:
        found = [path] if path.exists() else []
    if not found:
        what = "holds no *.parquet files" if path.is_dir() else "fits no file" if is_pattern else "does not exist"
        raise DataError(f"The source {pattern} {what}. Check `source.path`; relative paths start at {Path.cwd()}.")
    return found, _fixed_part(path) if is_pattern else path


def would_take_in(pattern: str, file: Path) -> bool:
    """Whether a folder or pattern takes in a file at this path, there or not; a link counts as what it leads to.

    Examples
    --------
    >>> would_take_in("t/*.parquet", Path("t/a.parquet")), would_take_in("t/*.parquet", Path("t/out/a.parquet"))
    (True, False)
    """
    path = Path(pattern).expanduser()
    if any(sign in pattern for sign in "*?[") and not path.exists():
        fixed = _fixed_part(path)
        if "**" in path.parts:
            return is_within(file, fixed)
        whole = fixed.resolve().joinpath(*path.parts[len(fixed.parts) :])
        return file.resolve().match(str(whole)) and len(file.resolve().parts) == len(whole.parts)
    return is_within(file, path)


def _fixed_part(pattern: Path) -> Path:
    """The folder that all files of a pattern lie in."""
    parts = list(takewhile(lambda part: not any(sign in part for sign in "*?["), pattern.parts))
    return Path(*parts)


def columns_of_folders(files: Sequence[Path], base: Path) -> dict[str, pa.Array]:
    """A value for each file of every ``key=value`` folder between `base` and the files.

    Whole numbers where all values are such, else texts; null where a file lies in no such folder.

    Examples
    --------
    >>> columns_of_folders([Path("t/year=2024/a.parquet"), Path("t/year=2025/a.parquet")], Path("t"))["year"].to_pylist()
    [2024, 2025]
    """
    found = [_of_path(file, base) for file in files]
    names = dict.fromkeys(name for values in found for name in values)
    return {name: _as_array([values.get(name) for values in found]) for name in names}


def _of_path(file: Path, base: Path) -> dict[str, str | None]:
    folders = file.relative_to(base).parts[:-1] if file != base else ()
    pairs = [unquote(folder).partition("=") for folder in folders if "=" in folder]
    return {name: None if value == _NULL else value for name, _, value in pairs if name}


def _as_array(values: list[str | None]) -> pa.Array:
    texts = pa.array(values, pa.string())
    present = [value for value in values if value is not None]
    # As they are written: "007" is a text, and so is what no integer of 64 bits holds.
    return texts.cast(pa.int64()) if present and all(map(_is_integer, present)) else texts


def _is_integer(text: str) -> bool:
    return re.fullmatch("0|-?[1-9][0-9]{0,17}", text) is not None
