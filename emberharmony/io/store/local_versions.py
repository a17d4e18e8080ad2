"""Earlier results: whole folders below `.versions` in the folder of the result that took their place."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from emberharmony.io.manifest import KEEP_VERSIONS, MANIFEST
from emberharmony.io.store.local import LocalStore, sync_folder
from emberharmony.io.store.local_commit import ASSEMBLED, JOURNAL, is_in_place
from emberharmony.io.store.local_staging import VERSIONS, is_folder, remove_folder, removed_folders, staged_runs
from emberharmony.io.store.snapshot import Version

_SECOND = len("20261128T031500Z")
_VERSION = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")


def version_name(content: bytes, *, otherwise: float) -> str:
    """Name of the result that has a manifest with this content: when it was created, and the start of the manifest's hash.

    Parameters
    ----------
    content : bytes
        The manifest as it is on disk, of any version of the format.
    otherwise : float
        Time to name a result by whose manifest is damaged, in seconds since 1970.

    Examples
    --------
    >>> version_name(b'{"created": "2026-11-28T03:15:00+00:00"}', otherwise=0)
    '20261128T031500Z-1186b880'
    """
    created = datetime.fromtimestamp(otherwise, UTC)
    with suppress(ValueError, TypeError, KeyError):
        created = datetime.fromisoformat(_fields(content)["created"]).astimezone(UTC)
    return f"{created:%Y%m%dT%H%M%SZ}-{sha256(content).hexdigest()[:8]}"


def name_of(folder: Path) -> str:
    """Name of the result whose manifest is in a folder."""
    manifest = folder / MANIFEST
    return version_name(manifest.read_bytes(), otherwise=manifest.stat().st_mtime)


def kept_versions(sink: Path) -> list[Path]:
    """Folders of the earlier results that are kept, newest first; anything else below `.versions` belongs to others."""
    folder = sink / VERSIONS
    if not is_folder(folder):
        return []
    found = (path for path in folder.iterdir() if _VERSION.fullmatch(path.name) and is_folder(path))
    # Of two results of one second, the folder that was moved here last is the newer one.
    return sorted(found, key=lambda path: (path.name[:_SECOND], path.stat().st_mtime_ns), reverse=True)


def removed_versions(sink: Path) -> list[Path]:
    """Folders of earlier results whose removal was interrupted."""
    return removed_folders(sink / VERSIONS)


def described(folder: Path, *, is_current: bool) -> Version:
    """What is known of the result in a folder, whichever version of this library has written its manifest."""
    fields = _fields((folder / MANIFEST).read_bytes()) if (folder / MANIFEST).exists() else {}
    files = fields.get("files")
    n_bytes = sum(int(file["n_bytes"]) for file in files) if isinstance(files, list) else 0
    name = name_of(folder) if is_current else folder.name
    return Version(name, str(fields.get("created", "")), str(fields.get("fingerprint", "")), n_bytes, is_current)


def versions_to_keep(sink: Path) -> int:
    """How many earlier results the published one wants to be kept."""
    with suppress(OSError, ValueError, TypeError):
        return max(0, int(_fields((sink / MANIFEST).read_bytes()).get("keep_versions", KEEP_VERSIONS)))
    return KEEP_VERSIONS


def settle(sink: Path) -> None:
    """Move results that were replaced from staging to their place below `.versions`; only the holder of the lock may do so.

    A run that has committed has the old result in its folder. It is removed once that is moved.
    """
    for run in filter(lambda run: _has_ended(run, sink), staged_runs(sink)):
        replaced = run / ASSEMBLED
        if (replaced / MANIFEST).exists():
            _keep(replaced, sink)
        remove_folder(run)


def prune(sink: Path, *, keep: int) -> None:
    """Remove the oldest of the earlier results, beyond those to keep; only the holder of the lock may do so."""
    for version in kept_versions(sink)[keep:]:
        remove_folder(version)
    for folder in removed_versions(sink):
        shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        (sink / VERSIONS).rmdir()  # if nothing else is in it


def _keep(replaced: Path, sink: Path) -> None:
    LocalStore(sink).make_folder(sink / VERSIONS)
    kept = sink / VERSIONS / name_of(replaced)
    if not kept.exists():  # otherwise it is the same result: its manifest has the same hash
        replaced.rename(kept)
        sync_folder(kept.parent)


def _has_ended(run: Path, sink: Path) -> bool:
    """Whether a run's manifest and all its folders are in place."""
    old, new = run / ASSEMBLED / MANIFEST, sink / MANIFEST
    if (run / MANIFEST).exists() or not (run / JOURNAL).exists() or not new.exists() or not is_in_place(run, sink):
        return False
    return not old.exists() or old.read_bytes() != new.read_bytes()


def _fields(manifest: bytes) -> dict[str, Any]:
    """A manifest of any version as JSON; nothing of a damaged one."""
    try:
        data = json.loads(manifest)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}
