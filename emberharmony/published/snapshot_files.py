"""The files of a snapshot as a file system of Arrow, so that every reader of its datasets reads them."""

from __future__ import annotations

import atexit
import math
import threading
import time
from collections.abc import Sequence
from typing import Any, NoReturn

import pyarrow as pa
from pyarrow import fs

from emberharmony.io.store.base import FileRecord
from emberharmony.io.store.snapshot import Snapshot

_IDLE_S, _LONGEST_S = 0.2, 30.0


class _Openings:
    """Files that Arrow's threads are opening. They may read ahead for a query that has ended.

    Python ends threads that call it after the process has begun to end, and Arrow then waits for them forever.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_open, self._ended_at = 0, -math.inf

    def __enter__(self) -> None:
        with self._lock:
            self._n_open += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._n_open, self._ended_at = self._n_open - 1, time.monotonic()

    def wait(self) -> None:
        """Wait until no file is being opened, and none has been for a moment."""
        end = time.monotonic() + _LONGEST_S
        while (self._n_open or time.monotonic() < self._ended_at + _IDLE_S) and time.monotonic() < end:
            time.sleep(0.01)


_openings = _Openings()
atexit.register(_openings.wait)


class SnapshotFiles(fs.FileSystemHandler):  # type: ignore[misc]
    """Files of a snapshot by the names in its manifest; nothing can be written.

    Parameters
    ----------
    snapshot : Snapshot
        The result.
    files : sequence of FileRecord
        Those of its files that can be opened.
    """

    def __init__(self, snapshot: Snapshot, files: Sequence[FileRecord]) -> None:
        self._snapshot = snapshot
        self._files = {file.name: file for file in files}

    def _identity(self) -> tuple[str, str]:
        return self._snapshot.address, self._snapshot.version

    def __eq__(self, other: object) -> bool:
        """Whether both read the same version of the same result."""
        return isinstance(other, SnapshotFiles) and self._identity() == other._identity()

    def __ne__(self, other: object) -> bool:
        """Return the opposite; Arrow asks for it."""
        return not self == other

    def __hash__(self) -> int:
        return hash(self._identity())

    def get_type_name(self) -> str:
        """Name of this kind of file system, for messages."""
        return "emberharmony"

    def normalize_path(self, path: str) -> str:
        """Return the name as it is."""
        return path

    def get_file_info(self, paths: Sequence[str]) -> list[fs.FileInfo]:
        """Sizes of files, from the manifest."""
        return [self._info(path) for path in paths]

    def get_file_info_selector(self, selector: fs.FileSelector) -> list[fs.FileInfo]:
        """Sizes of all files below a folder."""
        return [self._info(name) for name in self._files if name.startswith(f"{selector.base_dir.rstrip('/')}/")]

    def open_input_file(self, path: str) -> pa.NativeFile:
        """Open a file for reading at any place."""
        if path not in self._files:
            raise FileNotFoundError(path)
        with _openings:
            return self._snapshot.open(self._files[path])

    open_input_stream = open_input_file

    def _info(self, path: str) -> fs.FileInfo:
        file = self._files.get(path)
        if file is None:
            return fs.FileInfo(path, fs.FileType.NotFound)
        return fs.FileInfo(path, fs.FileType.File, size=file.n_bytes)

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse to write: what was published is never changed."""
        raise OSError("A published result is read-only.")

    create_dir = delete_dir = delete_dir_contents = delete_root_dir_contents = delete_file = _refuse
    move = copy_file = open_output_stream = open_append_stream = _refuse
