"""Two folders that change places in one step, so that a reader finds the old or the new one and never none."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

_AT_FDCWD = -100  # linux/fcntl.h
_RENAME_EXCHANGE = 2  # linux/fs.h
_RENAME_SWAP = 2  # sys/stdio.h of macOS

_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})


def exchange(first: Path, second: Path) -> None:
    """Let two folders of one file system change places.

    One step where the system has one (Linux and macOS on their own file systems). Elsewhere, on NFS for example, three
    renames: a reader may find no folder at `second` for a moment.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as root:
    ...     new, old = Path(root, "new"), Path(root, "old")
    ...     for folder in (new, old):
    ...         folder.mkdir()
    ...         _ = (folder / f"of the {folder.name}").touch()
    ...     exchange(new, old)
    ...     [file.name for file in old.iterdir()]
    ['of the new']
    """
    if not _exchanged(first, second):
        aside = first.with_name(f"{first.name}.aside")
        second.rename(aside)
        first.rename(second)
        aside.rename(first)


def _exchanged(first: Path, second: Path) -> bool:
    """Exchange in one step; returns whether the system could."""
    call = _system_call()
    if call is None:
        return False
    ctypes.set_errno(0)
    if call(os.fsencode(first), os.fsencode(second)) == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNSUPPORTED:
        return False
    raise OSError(code, os.strerror(code), str(first), None, str(second))


@cache
def _system_call() -> Any:
    try:
        library = ctypes.CDLL(None, use_errno=True)
        return _SYSTEM_CALLS[sys.platform](library)
    except (OSError, KeyError, AttributeError):  # another system, or an older C library
        return None


def _renameat2(library: Any) -> Any:
    call = library.renameat2
    return lambda first, second: call(_AT_FDCWD, first, _AT_FDCWD, second, _RENAME_EXCHANGE)


def _renamex_np(library: Any) -> Any:
    call = library.renamex_np
    return lambda first, second: call(first, second, _RENAME_SWAP)


_SYSTEM_CALLS = {"linux": _renameat2, "darwin": _renamex_np}
