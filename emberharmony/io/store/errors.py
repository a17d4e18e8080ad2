"""Errors of disks and shares, translated: transient or terminal, and what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emberharmony.errors import TerminalError, TransientError

TRANSIENT = frozenset(
    getattr(errno, name)
    for name in (
        *("EIO", "ESTALE", "ENOTCONN", "ENODEV", "ETIMEDOUT", "ECONNRESET"),
        *("EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH"),
    )
    if hasattr(errno, name)
)
"""Error numbers of a share that is away for a while."""


def translate(error: OSError, target: str | Path | None = None) -> TransientError | TerminalError:
    """Return the transient or terminal error to raise in place of an OSError; it names `target`, or the path of the OSError.

    Examples
    --------
    >>> print(translate(OSError(errno.EROFS, "Read-only file system", "out/a")))
    out/a cannot be written: read-only file system. Choose a `sink.path` that this user may write to.
    """
    place = target or error.filename2 or error.filename or "A file"
    reason = (error.strerror or str(error)).lower()
    if error.errno in TRANSIENT:
        return TransientError(
            f"{place} cannot be reached: {reason}. If it lies on a share, mount it again; then run the same command again: it "
            f"goes on where it stopped."
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        what = "The disk is full" if error.errno == errno.ENOSPC else "This user's quota of the disk is used up"
        return TerminalError(
            f"{what}: {place} could not be written. Free space or choose another `sink.path`, then run the "
            f"same command again; it goes on where it stopped."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return TerminalError(f"{place} cannot be written: {reason}. Choose a `sink.path` that this user may write to.")
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return TerminalError(
            f"{place} cannot be written: a part of its path is a file, or a link to nothing, not a folder. Choose another "
            f"`sink.path`."
        )
    return TerminalError(
        f"{place} cannot be used: {reason}. Mend that or choose another path, then run the same command again."
    )


@contextmanager
def translated(target: str | Path | None = None) -> Iterator[None]:
    """Translate an OSError in the block into a transient or terminal error.

    Raises
    ------
    TransientError
        If trying again may help.
    TerminalError
        If it will not.
    """
    try:
        yield
    except OSError as error:
        raise translate(error, target) from error
