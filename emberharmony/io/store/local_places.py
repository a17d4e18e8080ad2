"""Where a job reads and writes: its source, its sink, its state and the results of others keep out of each other's way."""

from __future__ import annotations

from pathlib import Path

from emberharmony.errors import PlanError
from emberharmony.io.manifest import MANIFEST
from emberharmony.io.sources.base import Source, StoredFiles
from emberharmony.io.store.address import child_address, is_bucket, without_query
from emberharmony.io.store.local_staging import STAGING, VERSIONS
from emberharmony.io.store.local_target import PUBLISHED
from emberharmony.io.store.paths import is_within

_FUTURE_PARTS = ("features/split=train/part-00000.parquet", "windows/stride=1/split=train/part-00000.parquet")


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


def check_files(sink: str, source: StoredFiles) -> None:
    """Refuse a sink that holds files of the source, or whose result the source would take in.

    Parameters
    ----------
    sink : str
        Address of the result: a path, or a prefix in a bucket.
    source : StoredFiles
        The table that is read.

    Raises
    ------
    PlanError
        If the next run would read this one's result, or this one would replace what it reads.
    """
    shown = without_query(sink)
    inside = source.file_within(sink)
    if inside is not None:
        raise PlanError(
            f"The source {inside} lies inside sink.path, {shown}. Choose a folder that holds nothing of the source."
        )
    if any(source.would_read(child_address(sink, part)) for part in _FUTURE_PARTS):
        raise PlanError(
            f"sink.path is {shown}, and source.path takes in what lies there: the next run would read this one's result. "
            f"Choose a folder outside of the source."
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
