"""Hashes of the files that this process has written, as long as nobody has touched them since."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from typing import NamedTuple

MOST_FILES = 16_384
"""Files whose hashes are remembered, some 5 MB; of more, the oldest are hashed again."""


class _State(NamedTuple):
    """What changes when a file is written to, replaced, moved or linked. Nobody can set `changed_ns` back."""

    device: int
    inode: int
    n_bytes: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> _State:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class WrittenHashes:
    """Remembers the hashes of files by their state on disk, the newest `most` of them.

    Parameters
    ----------
    most : int
        Files to remember.
    """

    def __init__(self, most: int = MOST_FILES) -> None:
        self._most, self._hashes, self._alone = most, dict[_State, str](), threading.Lock()

    def remember(self, path: Path, sha256: str, *, inode: int) -> None:
        """Note the hash of a file that this process has written, unless another file has its name by now.

        Parameters
        ----------
        path : Path
            Its path, now that it has its last name: a file that is moved is hashed again.
        sha256 : str
            The hash of what was written.
        inode : int
            The inode number of the file that was written.
        """
        state = _State.of(path.stat())
        if state.inode == inode:
            with self._alone:
                self._hashes[state] = sha256
                while len(self._hashes) > self._most:
                    del self._hashes[next(iter(self._hashes))]

    def hash_of(self, path: Path) -> str:
        """Return the SHA-256 of a file: what is remembered of it, or else that of its content."""
        return self._hashes.get(_State.of(path.stat())) or file_hash(path)


WRITTEN = WrittenHashes()
"""Of this process."""


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
