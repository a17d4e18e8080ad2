"""Publishing: everything is in staging until the manifest, written last, says that it is there."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from emberharmony.errors import DamagedError, DataError
from emberharmony.io.manifest import MANIFEST, Manifest, manifest_in
from emberharmony.io.store.base import FileRecord, Store
from emberharmony.io.store.errors import translated
from emberharmony.io.store.local import UNFINISHED
from emberharmony.pipeline.commit import check_staged, check_writable, commit
from emberharmony.pipeline.manifest_of import manifest_of
from emberharmony.pipeline.run import Run
from emberharmony.pipeline.staging import STAGING, remove_staged, removed_runs, staged_runs
from emberharmony.pipeline.target import refuse_foreign
from emberharmony.threads import compute_threads

_log = logging.getLogger(__name__)


def is_committed(run: Run) -> bool:
    """Whether publishing has begun: then no other stage is left to do."""
    return run.store.exists(MANIFEST)


@translated()
def publish(run: Run, chunk_stages: Sequence[str]) -> Manifest:
    """Write the manifest of the whole run into staging, which decides that it is published, and commit it.

    Killed in the middle and called again, it goes on where it stopped. A worker that is late by then finds nothing in its way,
    and is in nobody's.

    Raises
    ------
    DamagedError
        If a staged file is not what its record says; nothing was published, and what is damaged has to be made again.
    DataError, TerminalError
        If the sink holds files that no run wrote, or cannot be written; nothing was published.
    """
    sink = run.folder
    if not is_committed(run):
        refuse_foreign(sink)
        check_writable(sink)
        manifest = manifest_of(run, chunk_stages)
        _check_sizes(run.store, manifest.files)
        run.store.write_json(MANIFEST, manifest.to_json())
    manifest = _committed_manifest(run)
    try:
        folders = check_staged(run.store, manifest, sink)
    except DamagedError:
        run.receipts.drop_damaged(n_threads=compute_threads())
        raise
    run.sink.publish(run.store, manifest, state=str((sink / "state").absolute()))
    commit(run.store, manifest, sink, folders)
    try:
        tidy(sink)
    except OSError as error:  # what is published is published
        _log.warning("%s could not be removed: %s.", error.filename or sink / STAGING, (error.strerror or "").lower())
    return manifest


def _committed_manifest(run: Run) -> Manifest:
    try:
        manifest = manifest_in(run.store)
    except DataError as error:
        run.store.delete(MANIFEST)
        raise DamagedError(f"{run.store.address_of(MANIFEST)} was damaged; it is written again.") from error
    assert manifest is not None
    return manifest


def _check_sizes(store: Store, files: Sequence[FileRecord]) -> None:
    """Check once more that all files are there; their content was checked where it was read, and is hashed by the commit."""
    for file in files:
        if store.size(file) != file.n_bytes:
            raise DamagedError(
                f"{store.address_of(file)} is missing or was changed since this job wrote it; nothing was published.",
                file.kept_as,
            )


def tidy(sink: Path, *, of: str = "") -> None:
    """Remove what is staged at a sink, all of it or of one fingerprint; only whoever holds the sink's lock may do so."""
    for run in staged_runs(sink):
        if run.name.startswith(of):
            remove_staged(run)
    for run in removed_runs(sink):
        shutil.rmtree(run, ignore_errors=True)
    unfinished = sink / STAGING / UNFINISHED
    if unfinished.is_dir() and not unfinished.is_symlink():
        for path in unfinished.glob(".writable-*"):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            unfinished.rmdir()
