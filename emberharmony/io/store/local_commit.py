"""The commit of a result: whole folders change places with those that readers look into, and the manifest follows.

The files of a run are first assembled in staging, below `ASSEMBLED`, under the names that they are published by. Then each
published folder is exchanged with the one in place, which keeps the old result below `ASSEMBLED`, with a copy of its manifest,
until the new one is there; `local_versions.settle` then moves it to where earlier results are kept.
A commit that fails puts the old folders back; one that was killed goes on, or is rolled back by the next run of another job:
a journal records which folders were exchanged by then.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from emberharmony.errors import DamagedError, TerminalError
from emberharmony.io.manifest import MANIFEST, PUBLISHED_TO, Manifest
from emberharmony.io.store.base import FileRecord
from emberharmony.io.store.exchange import exchange
from emberharmony.io.store.local import LocalStore, sync_each, sync_folder
from emberharmony.io.store.local_hashes import WRITTEN
from emberharmony.io.store.local_staging import staged_runs
from emberharmony.io.store.local_target import PUBLISHED, foreign_files, owned_names, refuse_foreign

ASSEMBLED = "published"
"""Folder, in a staged run, of the result's folders: the new ones before they are in place, the old ones after that."""

JOURNAL = "committing.json"
"""File, in a staged run, of the assembled folders' inode numbers, which a folder keeps wherever it is moved."""

_HASH_THREADS = 4


def check_staged(store: LocalStore, manifest: Manifest, sink: Path) -> None:
    """Compare a run's files with the checksums in its manifest.

    Raises
    ------
    DamagedError
        If files are missing or were changed. The old result is in place, and the run is open again.
    """
    in_place = _in_place(store.root, sink)
    damaged = _damaged(store, manifest.files, dict.fromkeys(in_place, sink))
    if damaged:
        _reopen(store, manifest, sink, in_place)
        raise DamagedError(
            f"{len(damaged)} staged files are missing or were changed since this job wrote them, such as "
            f"{store.path(damaged[0])}; nothing was published.",
            damaged[0].kept_as,
        )


def commit(store: LocalStore, manifest: Manifest, sink: Path, published: Sequence[str] = PUBLISHED) -> None:
    """Put a staged run's folders `published` and its manifest in place of those of an older result.

    Raises
    ------
    DataError, TerminalError
        If the sink holds files that no run wrote, or cannot be written. The old result is in place.
    """
    refuse_foreign(sink, published)
    check_writable(sink)
    owned, in_place = owned_names(sink), _in_place(store.root, sink)
    folders = [folder for folder in published if folder not in in_place]
    _assemble(store, [file for file in manifest.files if _folder_of(file.name) in folders])
    if not store.exists(JOURNAL):
        assembled = {folder: store.root / ASSEMBLED / folder for folder in PUBLISHED}
        store.write_json(JOURNAL, {folder: path.stat().st_ino for folder, path in assembled.items() if path.exists()})
    _copy_old_manifest(store, sink)
    swapped = list[str]()
    try:
        for folder in folders:
            _swap(store, folder, sink)
            swapped.append(folder)
        sync_folder(sink)
        store.path(MANIFEST).replace(sink / MANIFEST)
    except OSError:
        for folder in reversed(swapped):
            _swap(store, folder, sink)
        raise
    sync_folder(sink)
    _keep_foreign(store.root / ASSEMBLED, sink, owned)


def check_writable(sink: Path) -> None:
    """Find out whether the published folders can be replaced, before anything is taken away.

    Raises
    ------
    TerminalError
        If this user may not.
    """
    for folder in (sink, *(sink / name for name in PUBLISHED)):
        if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
            raise TerminalError(
                f"{folder} cannot be replaced: this user may not write there. Nothing was changed. Let this user write there, "
                f"or choose another `sink.path`."
            )


def roll_back(sink: Path, *, but: str = "") -> None:
    """Put back the old folders where a run was killed between its first exchange and its manifest.

    Parameters
    ----------
    sink : Path
        Folder of the result; the caller holds its lock.
    but : str
        How the names of runs begin whose commit goes on instead, if any does.
    """
    for folder in half_committed(sink):
        if but and folder.name.startswith(but):
            continue
        store = LocalStore(folder, within=sink)
        for name in _in_place(folder, sink):
            _swap(store, name, sink)
        store.path(JOURNAL).unlink()


def half_committed(sink: Path) -> list[Path]:
    """Staged runs whose commit has begun and has not ended."""
    return [run for run in staged_runs(sink) if (run / MANIFEST).exists() and (run / JOURNAL).exists()]


def journal_of(run: Path) -> dict[str, int]:
    """Inode numbers of the folders that a staged run publishes; none before its commit has begun."""
    try:
        journal: dict[str, int] = json.loads((run / JOURNAL).read_bytes())
    except FileNotFoundError:
        return {}
    return journal


def is_in_place(run: Path, sink: Path) -> bool:
    """Whether all folders of a staged run are in place."""
    return _in_place(run, sink) == journal_of(run).keys()


def inode_of(folder: Path) -> int | None:
    """Inode number of a folder; ``None`` if there is none."""
    try:
        return folder.stat().st_ino
    except FileNotFoundError:
        return None


def _in_place(run: Path, sink: Path) -> set[str]:
    """Folders that an earlier attempt of a run has put in place."""
    return {folder for folder, inode in journal_of(run).items() if inode == inode_of(sink / folder)}


def _copy_old_manifest(store: LocalStore, sink: Path) -> None:
    """Copy the manifest that is about to be replaced beside the folders that are."""
    old = sink / MANIFEST
    if old.exists():
        store.put(f"{ASSEMBLED}/{MANIFEST}", old.read_bytes())
    else:
        store.delete(f"{ASSEMBLED}/{MANIFEST}")


def _damaged(store: LocalStore, files: Sequence[FileRecord], in_place: Mapping[str, Path]) -> list[FileRecord]:
    """Files whose content differs from their records, including files that an earlier attempt has moved."""

    def is_whole(file: FileRecord) -> bool:
        assembled = in_place.get(_folder_of(file.name), store.root / ASSEMBLED) / file.name
        return any(path.exists() and WRITTEN.hash_of(path) == file.sha256 for path in (store.path(file), assembled))

    with ThreadPoolExecutor(_HASH_THREADS) as pool:
        return [file for file, whole in zip(files, pool.map(is_whole, files), strict=True) if not whole]


def _assemble(store: LocalStore, files: list[FileRecord]) -> None:
    """Move kept files to the names that they are published by; those that were moved before stay."""
    folders = {store.root / ASSEMBLED}
    for kept, name in _names(store, files):
        if kept.exists():
            place = store.root / ASSEMBLED / name
            store.make_folder(place.parent)
            kept.replace(place)
            folders.update(place.parents[: len(Path(name).parts) - 1])
    store.make_folder(store.root / ASSEMBLED)
    sync_each(sync_folder, folders)


def _names(store: LocalStore, files: Iterable[FileRecord]) -> list[tuple[Path, str]]:
    """Where files are kept, and the names that they are published by."""
    return [*((store.path(file), file.name) for file in files), (store.path(PUBLISHED_TO), PUBLISHED_TO)]


def _swap(store: LocalStore, folder: str, sink: Path) -> None:
    """Exchange the published folder with the one below `ASSEMBLED`; if only one exists, move it. Its own inverse."""
    staged, place = store.root / ASSEMBLED / folder, sink / folder
    if staged.exists() and place.exists():
        exchange(staged, place)
    elif staged.exists():
        staged.rename(place)
    elif place.exists():
        place.rename(staged)


def _reopen(store: LocalStore, manifest: Manifest, sink: Path, in_place: set[str]) -> None:
    """Take the decision to publish back: the old folders in place, the run's files under the names that they are kept by."""
    for folder in in_place:
        _swap(store, folder, sink)
    for kept, name in _names(store, manifest.files):
        assembled = store.root / ASSEMBLED / name
        if assembled.exists() and not kept.exists():
            store.make_folder(kept.parent)
            assembled.replace(kept)
    for name in (JOURNAL, MANIFEST):  # a journal without a manifest is that of a run that has ended
        store.path(name).unlink(missing_ok=True)


def _keep_foreign(old: Path, sink: Path, owned: set[str]) -> None:
    """Move files that others added to the old folders during the exchange into the new folders."""
    for name in list(foreign_files(old, owned)):
        with suppress(OSError):
            LocalStore(sink).make_folder((sink / name).parent)
            (old / name).rename(sink / name)


def _folder_of(name: str) -> str:
    return name.partition("/")[0]
