"""Columns that stand in the names of folders, as in ``year=2024/part.parquet``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile
from urllib.parse import unquote

import pyarrow as pa

from emberharmony.errors import DataError
from emberharmony.io.sources.parquet.listing import ListedFile
from emberharmony.io.store.paths import is_unicode

_NULL = "__HIVE_DEFAULT_PARTITION__"


def columns_of_folders(files: Sequence[ListedFile]) -> dict[str, pa.Array]:
    """A value for each file of every ``key=value`` folder that it lies in, from the place that was named downwards.

    Folders that are named so directly above that place count too: the rows of ``t/day=1`` have a `day`, whether ``t``,
    ``t/day=1`` or a file in it was named. Whole numbers where all values are such, else texts; null where a file lies in no
    such folder.

    Examples
    --------
    >>> from pathlib import Path
    >>> files = [ListedFile(Path(f"t/year={year}/a.parquet"), Path("t")) for year in (2024, 2025)]
    >>> columns_of_folders(files)["year"].to_pylist()
    [2024, 2025]
    """
    found = [_of_path(file) for file in files]
    names = dict.fromkeys(name for values in found for name in values)
    return {name: _as_array([values.get(name) for values in found]) for name in names}


def _of_path(file: ListedFile) -> dict[str, str | None]:
    below = file.path.parent.relative_to(file.base).parts
    above = list(takewhile(_is_pair, reversed(file.base.absolute().parts)))[::-1]
    folders = [folder for folder in (*above, *below) if _is_pair(folder)]
    for folder in folders:
        if not is_unicode(folder):
            raise DataError(
                f"The name of the folder {folder!r} in {str(file.path.parent)!r} is not in UTF-8, so it is no value of a "
                f"column; rename it."
            )
    pairs = (folder.partition("=") for folder in folders)
    # Split first: an "=" within a key or value is escaped.
    return {unquote(name): None if value == _NULL else unquote(value) for name, _, value in pairs}


def _is_pair(folder: str) -> bool:
    return folder.find("=") > 0


def _as_array(values: list[str | None]) -> pa.Array:
    texts = pa.array(values, pa.string())
    present = [value for value in values if value is not None]
    # As they are written: "007" is a text, and so is what no integer of 64 bits holds.
    return texts.cast(pa.int64()) if present and all(map(_is_integer, present)) else texts


def _is_integer(text: str) -> bool:
    return re.fullmatch("0|-?[1-9][0-9]{0,17}", text) is not None
