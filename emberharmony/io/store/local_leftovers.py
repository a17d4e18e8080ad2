"""What the folder of a result holds besides the result: interrupted runs, half-removed folders, and the oldest versions."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from emberharmony.io.store.local_staging import (
    OLD,
    STAGING,
    VERSIONS,
    remove_folder,
    remove_unfinished,
    removed_folders,
    staged_runs,
)
from emberharmony.io.store.local_versions import kept_versions
from emberharmony.io.store.snapshot import Leftover


def local_leftovers(sink: Path, *, keep: int) -> list[Leftover]:
    """Return what could be removed if `keep` earlier results are to stay, as long as no run is at work."""
    found = dict.fromkeys(staged_runs(sink), "interrupted run")
    found |= dict.fromkeys(kept_versions(sink)[keep:], "earlier result")
    found |= {path: "removed in part" for folder in (STAGING, VERSIONS) for path in removed_folders(sink / folder)}
    return [_measured(path, what, sink) for path, what in found.items()]


def remove_leftovers(sink: Path, leftovers: Iterable[Leftover]) -> None:
    """Remove leftovers of a result, and nothing else."""
    removable = {leftover.name for leftover in local_leftovers(sink, keep=0)}
    for leftover in leftovers:
        if leftover.name in removable:
            _remove(sink / leftover.name)
    remove_unfinished(sink)
    with suppress(OSError):
        (sink / VERSIONS).rmdir()  # if nothing else is in it


def _remove(folder: Path) -> None:
    if folder.name.startswith(OLD):
        shutil.rmtree(folder)
    else:
        remove_folder(folder)


def _measured(folder: Path, what: str, sink: Path) -> Leftover:
    n_bytes, newest = 0, folder.stat().st_mtime
    for status in _files_in(folder):
        n_bytes += status.st_size
        newest = max(newest, status.st_mtime)
    modified = datetime.fromtimestamp(newest, UTC).isoformat(timespec="seconds")
    return Leftover(folder.relative_to(sink).as_posix(), what, n_bytes, modified)


def _files_in(folder: Path) -> Iterator[os.stat_result]:
    for top, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                yield Path(top, name).lstat()
