"""What is at a sink already, and whether a job may replace it.

Only files that a manifest of this product names are ever replaced or removed. Everything else belongs to others.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path

from emberharmony.errors import DataError, TerminalError
from emberharmony.io.manifest import MANIFEST, PUBLISHED_TO, Manifest, damaged_result, other_result, read_manifest
from emberharmony.io.store.base import FileRecord
from emberharmony.io.store.local import LocalStore
from emberharmony.io.store.local_hashes import file_hash
from emberharmony.io.store.local_staging import REPLACES, STAGING, VERSIONS, staged_runs

PUBLISHED = ("features", "windows", "state", "report")
"""Folders of a result."""

_OWN_NAME = re.compile(
    r"features/split=\w+/part-\d+\.parquet|windows/stride=\d+/split=\w+/part-\d+\.parquet"
    r"|state/(preprocessing|job|baseline|bigquery)\.json|state/pca\.safetensors|report/report\.html"
)
_MANY = 1000
_SHOWN = 3


def check_target(
    sink: Path,
    fingerprint: str,
    *,
    overwrite: bool,
    accumulates: bool = False,
    verify: bool = False,
    folders: Sequence[str] = PUBLISHED,
) -> Manifest | None:
    """Return the manifest if this very result is published there already.

    Parameters
    ----------
    sink : Path
        Folder of the result.
    fingerprint : str
        Fingerprint of the planned job.
    overwrite : bool
        Whether any result may be replaced, this very one as well.
    accumulates : bool
        Whether the rows of the result that is there stay elsewhere, so that another job's may take its place here.
    verify : bool
        Compare the checksums of what is published, not only the sizes.
    folders : sequence of str
        Folders of the result; those that a sink publishes itself are not among them.

    Raises
    ------
    DataError
        If something else is there that may not be replaced, or the published result was damaged.
    """
    _refuse_links(sink)
    interrupted = _interrupted(sink, fingerprint)
    if not overwrite and not interrupted:
        manifest = read_manifest(LocalStore(sink))
        if manifest is not None and manifest.fingerprint == fingerprint:
            _check_published(sink, manifest, verify=verify)
            return manifest
        if manifest is not None and not accumulates:
            raise other_result(str(sink), manifest, fingerprint)
    refuse_foreign(sink, folders)
    return None


def refuse_foreign(sink: Path, folders: Sequence[str] = PUBLISHED) -> None:
    """Refuse published folders that hold files, folders or links that no run of this product wrote there.

    Raises
    ------
    DataError
        If there are any; the message names some of them.
    """
    foreign = foreign_files(sink, owned_names(sink), folders)
    if (sink / MANIFEST).exists() and not _is_own_manifest(sink):
        foreign = chain([MANIFEST], foreign)
    found = list(islice(foreign, _MANY))
    if found:
        names = ", ".join(found[:_SHOWN])
        more = f" and {len(found) - _SHOWN:,}{'+' if len(found) == _MANY else ''} more" if len(found) > _SHOWN else ""
        raise DataError(
            f"{sink} holds files that no run of emberharmony published there: {names}{more}. They are never replaced. Move "
            f"them away, or choose another `sink.path`."
        )


def foreign_files(sink: Path, owned: Collection[str], folders: Sequence[str] = PUBLISHED) -> Iterator[str]:
    """Names, relative to the sink, of what is in its published folders and not among the `owned` names."""
    known_folders = {str(parent) for name in owned for parent in Path(name).parents}
    for published in folders:
        if (sink / published).is_dir():
            yield from _foreign_in(sink, published, owned, known_folders)
        elif (sink / published).exists():
            yield published


def _foreign_in(sink: Path, folder: str, owned: Collection[str], known_folders: Collection[str]) -> Iterator[str]:
    with os.scandir(sink / folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            name = f"{folder}/{entry.name}"
            if entry.is_dir(follow_symlinks=False) and name in known_folders:
                yield from _foreign_in(sink, name, owned, known_folders)
            elif entry.is_symlink() or name not in owned:
                yield name
    if folder not in known_folders:
        yield folder  # an empty folder, or one whose files are all foreign


def owned_names(sink: Path) -> set[str]:
    """Names of the files that the manifest at the sink records, and of a run that was interrupted while it was published."""
    owned = set[str]()
    for manifest in (sink / MANIFEST, *(run / MANIFEST for run in staged_runs(sink))):
        if manifest.is_file():
            owned |= {*_names_in(manifest, sink), PUBLISHED_TO}
    return owned


def _names_in(manifest: Path, sink: Path) -> set[str]:
    """Names that a manifest of any version records; of a damaged one, what this product would have named so."""
    try:
        return {str(file["name"]) for file in json.loads(manifest.read_bytes())["files"]}
    except (ValueError, KeyError, TypeError):
        files = (path for published in PUBLISHED for path in (sink / published).rglob("*"))
        return {name for name in (path.relative_to(sink).as_posix() for path in files) if _OWN_NAME.fullmatch(name)}


def _is_own_manifest(sink: Path) -> bool:
    """Whether `manifest.json` is one of this product, of any version, or a damaged one beside folders of this product."""
    try:
        data = json.loads((sink / MANIFEST).read_bytes())
    except ValueError:
        return any((sink / published).exists() for published in PUBLISHED)
    return isinstance(data, dict) and {"fingerprint", "files"} <= data.keys()


def _interrupted(sink: Path, fingerprint: str) -> bool:
    """Whether a run of this job was interrupted while it published, or while it was to replace what is there."""
    runs = [run for run in staged_runs(sink) if run.name.startswith(f"{fingerprint}-")]
    return any((run / name).exists() for run in runs for name in (MANIFEST, REPLACES))


def _refuse_links(sink: Path) -> None:
    for name in (*PUBLISHED, STAGING, VERSIONS):
        if (sink / name).is_symlink():
            raise DataError(
                f"{sink / name} is a link, which a result is never written through. Remove the link, or choose another "
                f"`sink.path`."
            )


def _check_published(sink: Path, manifest: Manifest, *, verify: bool) -> None:
    found = damaged_files(sink, manifest.files, verify=verify)
    if found:
        raise damaged_result(str(sink), found)


def damaged_files(sink: Path, files: Sequence[FileRecord], *, verify: bool) -> list[str]:
    """Names of published files that are missing, or of another size or, with `verify`, of another content."""

    def is_damaged(file: FileRecord) -> bool:
        path = sink / file.name
        try:
            if path.stat().st_size != file.n_bytes:
                return True
            return verify and file_hash(path) != file.sha256
        except FileNotFoundError:
            return True
        except OSError as error:
            raise TerminalError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from error

    with ThreadPoolExecutor(4) as pool:
        damaged = pool.map(is_damaged, files)
        return [file.name for file, is_bad in zip(files, damaged, strict=True) if is_bad]
