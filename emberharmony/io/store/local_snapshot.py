"""A result in a folder as it was when it was opened.

Its folders are held open. Wherever a commit moves them, to staging and below `.versions`, they stay the ones that the manifest
is about, until they are removed.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from emberharmony.errors import DataError, TransientError
from emberharmony.io.manifest import MANIFEST, Manifest, published_manifest
from emberharmony.io.store.base import FileRecord
from emberharmony.io.store.errors import translated
from emberharmony.io.store.local import LocalStore
from emberharmony.io.store.local_commit import ASSEMBLED, half_committed, inode_of, journal_of
from emberharmony.io.store.local_staging import VERSIONS
from emberharmony.io.store.local_target import PUBLISHED
from emberharmony.io.store.local_versions import kept_versions, name_of
from emberharmony.messages import did_you_mean

_TRIES = 100
"""How often a result is opened that others replace at the same moment; each of them takes longer than that."""


class LocalSnapshot:
    """One result in a folder; see the protocol `emberharmony.io.store.snapshot.Snapshot`."""

    def __init__(self, sink: Path, version: str, manifest: Manifest, folders: Mapping[str, int]) -> None:
        self._sink = sink
        self.folders = folders
        self.version = version
        self.manifest = manifest
        weakref.finalize(self, _close, folders.values())

    def __reduce__(self) -> Any:
        """Have a copy in another process open the same version."""
        return open_snapshot, (self._sink, self.version)

    @property
    def address(self) -> str:
        """Absolute path of the folder."""
        return str(self._sink.absolute())

    def open(self, file: FileRecord) -> pa.NativeFile:
        """Open a file of the manifest."""
        folder, _, name = file.name.partition("/")
        with translated(f"{self.address}/{file.name}"):
            try:
                handle = os.open(name, os.O_RDONLY, dir_fd=self.folders[folder])
            except (FileNotFoundError, KeyError) as error:
                raise self._missing(file) from error
            try:
                if os.fstat(handle).st_size != file.n_bytes:
                    raise self._missing(file)
                return pa.OSFile(f"/dev/fd/{handle}")
            finally:
                os.close(handle)

    def get(self, file: FileRecord) -> bytes:
        """Return the content of a file of the manifest."""
        with self.open(file) as handle:
            content: bytes = handle.read()
        return content

    def _missing(self, file: FileRecord) -> DataError:
        with suppress(OSError):
            if name_of(self._sink) != self.version and not (self._sink / VERSIONS / self.version).exists():
                return DataError(
                    f"Version {self.version} of {self.address} was removed while it was read: newer results took its place. "
                    f"Open the result again. `sink.keep_versions` says how many earlier results stay for readers at work."
                )
        return DataError(
            f"{self.address}/{file.name} is missing or damaged in version {self.version}. Publish again with --overwrite."
        )


def open_snapshot(sink: Path, version: str | None = None) -> LocalSnapshot:
    """Open the published result in a folder, or a version that is published or kept there.

    Raises
    ------
    DataError
        If nothing is published there, there is no such version, or its manifest is damaged.
    TransientError
        If other results are published all the time.
    """
    with translated(sink):
        if version is not None and (not (sink / MANIFEST).exists() or name_of(sink) != version):
            return _open_kept(sink, version)
        for _ in range(_TRIES):
            try:
                found = _open_published(sink)
            except FileNotFoundError:  # a folder was moved between the look and the opening
                continue
            if found is None:
                continue
            if version not in (None, found.version):
                return _open_kept(sink, str(version))
            return found
    raise TransientError(f"{sink} is replaced again and again, and cannot be opened. Try again later.")


def _open_kept(sink: Path, version: str) -> LocalSnapshot:
    folder = next((kept for kept in kept_versions(sink) if kept.name == version), None)
    if folder is None:
        known = [kept.name for kept in kept_versions(sink)]
        if (sink / MANIFEST).exists():
            known.insert(0, name_of(sink))
        raise DataError(
            f"{sink.absolute()} has no version {version!r}.{did_you_mean(version, known)} `emberharmony show` lists them."
        )
    manifest = published_manifest(LocalStore(folder))
    return LocalSnapshot(sink, version, manifest, _opened({name: folder / name for name in PUBLISHED}))


def _open_published(sink: Path) -> LocalSnapshot | None:
    """Open the result that is published; ``None`` if another took its place at the same moment."""
    before = _identity(sink)
    manifest, version = published_manifest(LocalStore(sink)), name_of(sink)
    snapshot = LocalSnapshot(sink, version, manifest, _opened(_places(sink)))
    held = {name: os.fstat(folder).st_ino for name, folder in snapshot.folders.items()}
    found = {name: inode_of(place) for name, place in _places(sink).items()}
    return snapshot if held == found and _identity(sink) == before else None


def _places(sink: Path) -> dict[str, Path]:
    """Where the folders of the published result are: in place, or below a run that is exchanging them for its own."""
    runs = half_committed(sink)
    new = {inode for run in runs for inode in journal_of(run).values()}
    tops = [sink, *(run / ASSEMBLED for run in runs)]
    found = ((name, top / name) for name in PUBLISHED for top in tops)
    return {name: place for name, place in found if inode_of(place) not in (None, *new)}


def _identity(sink: Path) -> tuple[int, int] | None:
    """What tells a manifest from the one that takes its place."""
    with suppress(FileNotFoundError):
        status = (sink / MANIFEST).stat()
        return status.st_ino, status.st_mtime_ns
    return None


def _opened(places: Mapping[str, Path]) -> dict[str, int]:
    """Open the folders that exist."""
    with ExitStack() as stack:
        folders = {}
        for name, place in places.items():
            with suppress(FileNotFoundError):
                folders[name] = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
                stack.callback(os.close, folders[name])
        stack.pop_all()
    return folders


def _close(folders: Iterable[int]) -> None:
    for folder in folders:
        with suppress(OSError):
            os.close(folder)
