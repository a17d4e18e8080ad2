"""Remove what runs have left at a result's place, while no run is at work there."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from emberharmony.errors import DataError, TerminalError
from emberharmony.io.manifest import KEEP_VERSIONS, read_manifest
from emberharmony.io.store.address import child_address
from emberharmony.io.store.opening import result_at
from emberharmony.io.store.result import Result
from emberharmony.io.store.snapshot import Leftover
from emberharmony.pipeline.published_slices import slice_folders


def clean(result: Result, *, keep: int | None = None, dry_run: bool = False) -> Sequence[Leftover]:
    """Remove abandoned staging and the oldest of the earlier results; returns what was removed.

    Parameters
    ----------
    result : Result
        The place.
    keep : int, optional
        Earlier results that stay; by default as many as `sink.keep_versions` of the published result says.
    dry_run : bool
        Remove nothing, and return what would be removed.

    Raises
    ------
    DataError
        If there is neither a result nor a run.
    TerminalError
        If a run is at work there.
    """
    if not result.versions() and not result.has_leftovers():
        raise DataError(f"Nothing is published at {result.address}, and no run was interrupted there.")
    with result.lease():
        if keep is None:
            manifest = read_manifest(result.published)
            keep = KEEP_VERSIONS if manifest is None else manifest.keep_versions
        leftovers = result.leftovers(keep=keep)
        if not dry_run:
            result.remove(leftovers)
    return leftovers


def clean_sink(sink: str, *, keep: int | None = None, dry_run: bool = False) -> Sequence[Leftover]:
    """Clean the result at a sink, and those of its slices; parameters and errors as in `clean`.

    Slices at which a run is at work are passed over.
    """
    slices = slice_folders(sink)
    found = list[Leftover]()
    here = result_at(sink)
    if not slices or here.versions() or here.has_leftovers():
        found += clean(here, keep=keep, dry_run=dry_run)
    for folder in slices:
        with suppress(DataError, TerminalError):
            part = clean(result_at(child_address(sink, folder)), keep=keep, dry_run=dry_run)
            found += (replace(leftover, name=f"{folder}/{leftover.name}") for leftover in part)
    return found
