"""Where a job reads and writes on this machine: source, sink, state and the results of others keep out of each other's way."""

from __future__ import annotations

from pathlib import Path

from emberharmony.errors import PlanError
from emberharmony.io.manifest import MANIFEST
from emberharmony.io.sources.base import Source
from emberharmony.io.sources.capabilities import StoredFiles
from emberharmony.io.store.address import is_bucket
from emberharmony.io.store.local_staging import STAGING, VERSIONS
from emberharmony.io.store.local_target import PUBLISHED
from emberharmony.io.store.paths import is_within
from emberharmony.io.store.source_files import check_files


def check_places(sink: Path, source: Source, *, state: str | None = None) -> None:
    """Refuse a job that would read its own result, or write into what it reads or what another job has published.

    Parameters
    ----------
    sink : Path
        Folder of the result.
    source : Source
        The table that is read.
    state : str, optional
        Path or address of the fitted state that is applied.

    Raises
    ------
    PlanError
        If two of these places lie within each other.
    """
    if isinstance(source, StoredFiles):
        check_files(str(sink), source)
    if state is not None and not is_bucket(state):
        _check_state(sink, Path(state))
    for folder in (sink.resolve(), *sink.resolve().parents):
        if folder.name in (*PUBLISHED, STAGING, VERSIONS) and _is_result(folder.parent):
            raise PlanError(
                f"sink.path is {sink}, inside {folder}, which belongs to the result in {folder.parent}. Choose a folder "
                f"outside of it."
            )


def _check_state(sink: Path, state: Path) -> None:
    result = state.parent if state.name == "state" and (state.parent / MANIFEST).exists() else state
    if is_within(result, sink):
        raise PlanError(
            f"sink.path is {sink}, and the state that is applied is in {state}: the result would replace what fitted it. "
            f"Choose another folder."
        )


def _is_result(folder: Path) -> bool:
    return (folder / MANIFEST).exists() or (folder / STAGING).exists()
