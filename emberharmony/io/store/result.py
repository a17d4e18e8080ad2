"""The contract of a result's place: what is published there, and the runs that are staged for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from emberharmony.io.manifest import Manifest
from emberharmony.io.sources.base import Source
from emberharmony.io.store.base import Store
from emberharmony.io.store.holder import Holder
from emberharmony.io.store.snapshot import Leftover, Snapshot, Version


class Result(Protocol):
    """Where a job publishes: readers see one complete result, the old or the new one, and never a mix of the two."""

    @property
    def address(self) -> str:
        """Where the result is, as the job says it."""
        ...

    @property
    def published(self) -> Store:
        """The published files."""
        ...

    def check_apart(self, source: Source, *, state: str | None = None) -> None:
        """Refuse a job whose result, source and applied state are within each other.

        Raises
        ------
        PlanError
            If two of them are.
        """
        ...

    def lease(self) -> AbstractContextManager[None]:
        """Hold the right to stage and publish here, for the length of the block.

        Raises
        ------
        TerminalError
            If another run holds it, or nothing can be written here.
        """
        ...

    def find(self, fingerprint: str, *, overwrite: bool, accumulates: bool = False, verify: bool = False) -> Manifest | None:
        """Return the manifest if exactly this result is published; see `local_target.check_target`.

        Raises
        ------
        DataError
            If something else is here that may not be replaced, or the published result was damaged.
        """
        ...

    def recover(self, *, fingerprint: str) -> None:
        """Undo the commit of any other job that was killed in the middle."""
        ...

    def address_of_run(self, name: str) -> str:
        """Where a run of that name is staged."""
        ...

    def holder(self) -> Holder | None:
        """Return who holds the lease, or held it when it was killed; ``None`` if nobody does. Nothing is written or taken."""
        ...

    def stage(self, name: str, *, discard: bool = False) -> Store:
        """Return the store of a staged run: that of an interrupted run, if there is one and `discard` does not remove it.

        A run that was staged with `discard` may replace what is published, also when it is resumed.
        """
        ...

    def staged(self, fingerprint: str, file: str) -> Sequence[Store]:
        """Return the staged runs of a job, or with an empty fingerprint of all jobs, that have this file; the newest first."""
        ...

    def check_replaceable(self) -> None:
        """Raise if what is published cannot be replaced.

        Raises
        ------
        DataError, TerminalError
            If files are here that no run wrote, or this user may not write here.
        """
        ...

    def check_staged(self, run: Store, manifest: Manifest) -> None:
        """Compare a run's files with the checksums in its manifest.

        Raises
        ------
        TerminalError
            If another run has published here since this one was staged.
        DamagedError
            If files are missing or were changed. The old result is in place, and the run is open again.
        """
        ...

    def commit(self, run: Store, manifest: Manifest) -> None:
        """Publish a staged run that `check_staged` has passed, in place of an older result; atomic for readers.

        Raises
        ------
        DataError, TerminalError
            If that is not possible. The old result is in place.
        """
        ...

    def tidy(self, *, fingerprint: str = "") -> None:
        """Remove what is staged here, all of it or that of one job, and the earlier results beyond those to keep.

        How many those are is in the manifest. Only the holder of the lease may do so.
        """
        ...

    def versions(self) -> Sequence[Version]:
        """Return the published result, if there is one, and the earlier ones that are kept, newest first."""
        ...

    def snapshot(self, version: str | None = None) -> Snapshot:
        """Open the published result for reading, or the version of that name.

        Raises
        ------
        DataError
            If nothing is published here, there is no such version, or its manifest is damaged.
        """
        ...

    def leftovers(self, *, keep: int) -> Sequence[Leftover]:
        """Return what could be removed if `keep` earlier results are to stay; only the holder of the lease may ask."""
        ...

    def remove(self, leftovers: Iterable[Leftover]) -> None:
        """Remove leftovers; only the holder of the lease may do so. A commit that was killed in the middle is undone first."""
        ...

    def has_leftovers(self) -> bool:
        """Whether there is anything for `tidy` to look at."""
        ...
