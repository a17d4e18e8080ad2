"""Folders of staged runs, below the folder of a result."""

from __future__ import annotations

import re
import shutil
import uuid
from contextlib import suppress
from pathlib import Path

from emberharmony.io.store.local import UNFINISHED

STAGING = ".staging"
VERSIONS = ".versions"
"""Folder, in that of a result, of earlier results: each with its folders and its manifest."""
_STAGED_RUN = re.compile(r"[0-9a-f]{16}-\d+-[0-9a-f]{8}")
OLD = ".old-"
"""Prefix of folders that are being removed."""
REPLACES = "replaces"
"""File, in a staged run, that allows it to replace what is published."""


def remove_folder(folder: Path) -> None:
    """Rename a staged run or kept result, then remove it: half of it must not look whole, nor a late worker write there."""
    shutil.rmtree(folder.rename(folder.with_name(f"{OLD}{uuid.uuid4().hex[:8]}")))


def staged_runs(sink: Path) -> list[Path]:
    """Folders of the runs staged in the folder of a result; anything else below `.staging` belongs to others."""
    staging = sink / STAGING
    if staging.is_symlink() or not staging.is_dir():
        return []
    return sorted(path for path in staging.iterdir() if _STAGED_RUN.fullmatch(path.name) and is_folder(path))


def removed_folders(parent: Path) -> list[Path]:
    """Folders, in that of staged runs or kept results, whose removal was interrupted."""
    pattern = re.compile(re.escape(OLD) + "[0-9a-f]{8}")
    return [path for path in parent.glob(f"{OLD}*") if pattern.fullmatch(path.name) and is_folder(path)]


def is_folder(path: Path) -> bool:
    """Whether a path is a folder itself, and no link to one."""
    return path.is_dir() and not path.is_symlink()


def tidy(sink: Path, *, of: str = "") -> None:
    """Remove the staged runs, all of them or those of one job; only the holder of the lock may do so."""
    for run in staged_runs(sink):
        if run.name.startswith(of):
            remove_folder(run)
    for run in removed_folders(sink / STAGING):
        shutil.rmtree(run, ignore_errors=True)
    remove_unfinished(sink)


def remove_unfinished(sink: Path) -> None:
    """Remove what runs that were killed have begun to write beside the folders of staged runs."""
    if not (sink / UNFINISHED).is_symlink():
        shutil.rmtree(sink / UNFINISHED, ignore_errors=True)  # parts that a sink keeps outside of the staged run
    staging, unfinished = sink / STAGING, sink / STAGING / UNFINISHED
    for folder in filter(is_folder, (staging, unfinished)):
        for path in folder.glob(".writable-*"):  # see `LocalStore.check_writable`
            path.unlink(missing_ok=True)
    with suppress(OSError):
        unfinished.rmdir()
