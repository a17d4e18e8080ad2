"""Columns given by the names of folders, as in ``year=2024/part.parquet``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile
from urllib.parse import unquote

import pyarrow as pa

from emberharmony.errors import DataError
from emberharmony.io.sources.parquet.files import TableFile
from emberharmony.io.store.paths import is_unicode

_NULL = "__HIVE_DEFAULT_PARTITION__"


def folders_of(above: Sequence[str], below: Sequence[str]) -> tuple[str, ...]:
    """Return the names of a file's ``key=value`` folders.

    Parameters
    ----------
    above : sequence of str
        The parts of the folder that the job names. Its last ones count: the rows of ``t/day=1`` have a `day`, whether the
        job names ``t``, ``t/day=1`` or a file in it.
    below : sequence of str
        The folders between that folder and the file.

    Examples
    --------
    >>> folders_of(["k=0", "x", "k=1"], ["y", "day=2"])
    ('k=1', 'day=2')
    """
    last = list(takewhile(_is_pair, reversed(above)))[::-1]
    return tuple(folder for folder in (*last, *below) if _is_pair(folder))


def columns_of_folders(files: Sequence[TableFile]) -> dict[str, pa.Array]:
    """Return the columns of all ``key=value`` folders: a value for each file, null for a file in no such folder.

    A column whose values are all whole numbers is one of integers, any other one of strings.

    `pyarrow.dataset` does not do exactly the same, and so is not used: it reads ``day=007`` as the integer 7, an integer of
    more than 32 bits as a string, and no folders above the one that it is given.

    Raises
    ------
    DataError
        If the name of a folder is not UTF-8.

    Examples
    --------
    >>> from emberharmony.io.sources.parquet.local_files import LocalFile
    >>> files = [LocalFile(f"t/year={year}/a.parquet", (f"year={year}",)) for year in (2024, 2025)]
    >>> columns_of_folders(files)["year"].to_pylist()
    [2024, 2025]
    """
    found = [_of_file(file) for file in files]
    names = dict.fromkeys(name for values in found for name in values)
    return {name: _as_array([values.get(name) for values in found]) for name in names}


def _of_file(file: TableFile) -> dict[str, str | None]:
    for folder in file.folders:
        if not is_unicode(folder):
            raise DataError(
                f"The name of the folder {folder!r} in {file.address!r} is not in UTF-8, and so cannot be a value of a "
                f"column; rename it."
            )
    pairs = (folder.partition("=") for folder in file.folders)
    # Split before unquoting: an "=" inside a key or value is escaped.
    return {unquote(name): None if value == _NULL else unquote(value) for name, _, value in pairs}


def _is_pair(folder: str) -> bool:
    return folder.find("=") > 0


def _as_array(values: list[str | None]) -> pa.Array:
    texts = pa.array(values, pa.string())
    present = [value for value in values if value is not None]
    # Only numbers that are written back unchanged: "007" stays a string, and so does a number of more than 64 bits.
    return texts.cast(pa.int64()) if present and all(map(_is_integer, present)) else texts


def _is_integer(text: str) -> bool:
    return re.fullmatch("0|-?[1-9][0-9]{0,17}", text) is not None
