"""Who may read what a job writes."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Literal

Access = Literal["private", "group", "umask"]
"""Readers of a result: its owner, its owner's group as well, or those whom the process's umask allows."""

PRIVATE = 0o700
_FOLDER_MODES: dict[Access, int] = {"private": PRIVATE, "group": 0o750}


def make_folder(folder: Path, access: Access = "private") -> None:
    """Make a folder with the given access; one that exists already stays as it is.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as root:
    ...     make_folder(Path(root) / "result", "group")
    ...     oct(Path(root, "result").stat().st_mode & 0o777)
    '0o750'
    """
    if folder.exists():
        return
    mode = _FOLDER_MODES.get(access)
    folder.mkdir(mode=0o777 if mode is None else PRIVATE, parents=True, exist_ok=True)
    if mode is not None:
        set_mode(folder, mode)


def private(path: str, flags: int) -> int:
    """Open a file as its owner's alone, if it is made: an `opener` for `open`."""
    return os.open(path, flags, 0o600)


def mode_of(folder: Path) -> int:
    """Permission bits of a folder; private where it does not exist."""
    try:
        return folder.stat().st_mode & 0o777
    except FileNotFoundError:
        return PRIVATE


def set_mode(place: Path | int, mode: int) -> None:
    """Give a file or folder its permission bits, where the file system knows them."""
    with suppress(PermissionError, NotImplementedError):
        os.chmod(place, mode)  # noqa: PTH101 - also takes an open file
