"""A result on this machine's disks and shares: a folder that people read, with the staged runs below it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from emberharmony.io.manifest import MANIFEST, Manifest
from emberharmony.io.sources.base import Source
from emberharmony.io.store.access import Access, make_folder
from emberharmony.io.store.base import Store
from emberharmony.io.store.errors import translated
from emberharmony.io.store.holder import Holder
from emberharmony.io.store.local import LocalStore
from emberharmony.io.store.local_commit import check_staged, check_writable, commit, half_committed, roll_back
from emberharmony.io.store.local_leftovers import local_leftovers, remove_leftovers
from emberharmony.io.store.local_places import check_places
from emberharmony.io.store.local_snapshot import LocalSnapshot, open_snapshot
from emberharmony.io.store.local_staging import REPLACES, STAGING, remove_folder, staged_runs, tidy
from emberharmony.io.store.local_target import PUBLISHED, check_target, refuse_foreign
from emberharmony.io.store.local_versions import described, kept_versions, prune, settle, versions_to_keep
from emberharmony.io.store.lock import locked
from emberharmony.io.store.snapshot import Leftover, Version

LOCK = "lock"
"""File, in the folder of staged runs, that the run at work holds locked."""


@dataclass(frozen=True)
class LocalResult:
    """The folder of a result; see the protocol `emberharmony.io.store.result.Result`."""

    folder: Path
    access: Access = "private"
    folders: tuple[str, ...] = PUBLISHED
    """Those that are committed; a sink publishes the others of `PUBLISHED`."""

    @property
    def address(self) -> str:
        """Path of the folder."""
        return str(self.folder)

    @property
    def published(self) -> Store:
        """The published files."""
        return LocalStore(self.folder)

    def check_apart(self, source: Source, *, state: str | None = None) -> None:
        """Refuse a job whose result, source and applied state are within each other."""
        check_places(self.folder, source, state=state)

    @contextmanager
    def lease(self) -> Iterator[None]:
        """Hold the folder's lock; makes the folder with its access."""
        with translated():
            for folder in (self.folder, self.folder / STAGING):
                make_folder(folder, self.access)
        LocalStore(self.folder / STAGING).check_writable()
        with locked(self.folder / STAGING / LOCK):
            with translated():
                settle(self.folder)  # what a killed run has left to do
            yield

    def find(self, fingerprint: str, *, overwrite: bool, accumulates: bool = False, verify: bool = False) -> Manifest | None:
        """Return the manifest if exactly this result is published."""
        return check_target(
            self.folder, fingerprint, overwrite=overwrite, accumulates=accumulates, verify=verify, folders=self.folders
        )

    def recover(self, *, fingerprint: str) -> None:
        """Undo the commit of any other job that was killed in the middle."""
        if half_committed(self.folder):
            with self.lease():
                roll_back(self.folder, but=f"{fingerprint}-")

    def address_of_run(self, name: str) -> str:
        """Path of the folder in which a run is staged."""
        return str(self.folder / STAGING / name)

    def holder(self) -> Holder | None:
        """Return who the lock file names."""
        found = LocalStore(self.folder / STAGING).read_with_etag(LOCK)
        return None if found is None else Holder.of_lock(found[0])

    def stage(self, name: str, *, discard: bool = False) -> Store:
        """Make the folder of a run, or find it; with `discard`, what is in it is removed.

        The folder of a run that was killed while it published holds what it has replaced. So that goes back, unless this run
        goes on with its commit; and if it was replaced as a whole, it is kept as an earlier result.
        """
        with translated():
            store = LocalStore(self.folder / STAGING / name)
            roll_back(self.folder, but="" if discard else name)
            if discard:
                settle(self.folder)
                if store.root.exists():
                    remove_folder(store.root)
            for folder in (self.folder, self.folder / STAGING, store.root):
                make_folder(folder, self.access)
        store.check_writable()
        if discard:
            store.put(REPLACES, b"")
        return store

    def staged(self, fingerprint: str, file: str) -> Sequence[Store]:
        """Return the staged runs of a job, or of all jobs, that have this file; those in which it is newest come first."""
        with translated():
            begin = f"{fingerprint}-" if fingerprint else ""
            runs = [run for run in staged_runs(self.folder) if run.name.startswith(begin) and (run / file).exists()]
            newest = sorted(runs, key=lambda run: (run / file).stat().st_mtime_ns, reverse=True)
        return [LocalStore(run, within=self.folder) for run in newest]

    def check_replaceable(self) -> None:
        """Raise if what is published cannot be replaced."""
        with translated():
            refuse_foreign(self.folder, self.folders)
            check_writable(self.folder)

    def check_staged(self, run: Store, manifest: Manifest) -> None:
        """Compare a run's files with the checksums in its manifest."""
        with translated():
            check_staged(self._local(run), manifest, self.folder)

    def commit(self, run: Store, manifest: Manifest) -> None:
        """Exchange the published folders with those of a staged run."""
        with translated():
            commit(self._local(run), manifest, self.folder, self.folders)

    def tidy(self, *, fingerprint: str = "") -> None:
        """Remove what is staged here, all of it or that of one job, and the earlier results beyond those to keep."""
        with translated():
            settle(self.folder)
            prune(self.folder, keep=versions_to_keep(self.folder))
            tidy(self.folder, of=fingerprint)

    def versions(self) -> Sequence[Version]:
        """Return the published result and the earlier ones that are kept, newest first."""
        with translated(self.folder):
            published = [described(self.folder, is_current=True)] if (self.folder / MANIFEST).exists() else []
            return [*published, *(described(folder, is_current=False) for folder in kept_versions(self.folder))]

    def snapshot(self, version: str | None = None) -> LocalSnapshot:
        """Open the published result for reading, or the version of that name."""
        return open_snapshot(self.folder, version)

    def leftovers(self, *, keep: int) -> Sequence[Leftover]:
        """Return what could be removed if `keep` earlier results are to stay."""
        with translated(self.folder):
            return local_leftovers(self.folder, keep=keep)

    def remove(self, leftovers: Iterable[Leftover]) -> None:
        """Remove leftovers, after a commit that was killed in the middle is undone."""
        with translated(self.folder):
            roll_back(self.folder)
            remove_leftovers(self.folder, leftovers)

    def has_leftovers(self) -> bool:
        """Whether there is a folder of staged runs."""
        return (self.folder / STAGING).exists()

    def _local(self, run: Store) -> LocalStore:
        """The store of a staged run as one whose folders can be moved."""
        return LocalStore(Path(run.address), within=self.folder)
