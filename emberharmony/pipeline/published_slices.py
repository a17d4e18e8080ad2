"""The slices that are published at a sink, each in a folder of its own."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from emberharmony.io.manifest import Manifest, read_manifest
from emberharmony.io.store.address import child_address
from emberharmony.io.store.base import Store
from emberharmony.io.store.opening import open_files, open_store
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.slices import FOLDER


@dataclass(frozen=True)
class PublishedSlice:
    """A slice that is completely published."""

    name: str
    address: str
    """Of its result, as `emberharmony.open_result` takes it."""
    manifest: Manifest

    @property
    def n_rows(self) -> int:
        """Rows of features that it holds."""
        return self.manifest.n_rows if self.manifest.holds_rows else 0


def published_slices(sink: str) -> tuple[PublishedSlice, ...]:
    """Return the slices that are published at a sink, in the order of time; one request of each, several at a time.

    Parameters
    ----------
    sink : str
        The `sink.path` of a job that is run slice by slice.

    Raises
    ------
    DataError
        If the manifest of one is damaged.
    TransientError, TerminalError
        If the sink cannot be listed.

    Examples
    --------
    >>> published_slices("nowhere")
    ()
    """
    return _read(sink, slice_folders(sink))


def slices_before(sink: str, name: str, *, most: int) -> tuple[PublishedSlice, ...]:
    """Return the last slices that are published at a sink before the one of a name, at most `most`, in the order of time.

    Raises
    ------
    DataError
        If the manifest of one is damaged.
    TransientError, TerminalError
        If the sink cannot be listed.

    Examples
    --------
    >>> slices_before("nowhere", "2026-11-28", most=14)
    ()
    """
    return _read(sink, [folder for folder in slice_folders(sink) if folder < FOLDER + name][-most:])


def slice_folders(sink: str) -> list[str]:
    """Names of the folders of slices at a sink, published or not, in the order of time."""
    return sorted(folder for folder in open_files(sink).folders() if folder.startswith(FOLDER))


def _read(sink: str, folders: Sequence[str]) -> tuple[PublishedSlice, ...]:
    def read(folder: str) -> PublishedSlice | None:
        address = child_address(sink, folder)
        manifest = read_manifest(open_store(address))
        return None if manifest is None else PublishedSlice(folder.removeprefix(FOLDER), address, manifest)

    with ThreadPoolExecutor(open_files(sink).readers, thread_name_prefix="read-slices") as pool:
        return tuple(found for found in pool.map(read, folders) if found is not None)


def is_slice_there(spec: PipelineSpec, published: Store) -> bool:
    """Whether the published result is the slice that a job makes. If so, the job may replace it, whatever its rows are."""
    if spec.slice is None:
        return False
    manifest = read_manifest(published)
    return manifest is not None and manifest.slice == spec.slice.name
