"""A result in a bucket: one prefix for each version, and a manifest that names the current one.

Workers write parts once, under the prefix of their run, which is the version's own prefix later: nothing is copied or renamed.
The commit is one conditional write of the manifest. What a run needed besides its parts is removed after that.

    out/manifest.json                          names the current version
    out/.lease.json                            which run may publish here
    out/.versions/<run>/run.json               what the run was told, and what it may replace
    out/.versions/<run>/abandoned.json         it will never be resumed
    out/.versions/<run>/manifest.json          its work is done, and it is going to be published
    out/.versions/<run>/published.json         it was published
    out/.versions/<run>/features/split=train/part-00000-<hash>.parquet

A process may be paused at any moment and go on when another has taken over its lease. So nothing relies on the lease alone. A
commit names the manifest that it replaces, as it was when the run was staged. And a run is removed only if it cannot be
committed any more: it is abandoned first, so that nobody resumes it, and removed once the manifest is another one than at that
moment, so that whoever is at work on it still is too late. `tests/simulation.py` tries this under thousands of schedules.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from emberharmony.errors import DamagedError, DataError, PlanError, TerminalError
from emberharmony.io.manifest import (
    KEEP_VERSIONS,
    MANIFEST,
    PUBLISHED_TO,
    Manifest,
    damaged_result,
    file_names,
    other_result,
    read_manifest,
)
from emberharmony.io.sources.base import Source
from emberharmony.io.sources.capabilities import StoredFiles
from emberharmony.io.store.address import BucketAddress, without_query
from emberharmony.io.store.base import ETag, FileRecord, Store, as_json
from emberharmony.io.store.holder import Holder
from emberharmony.io.store.lease import LEASE, Lease, Timing, check_held, holder_of, leased
from emberharmony.io.store.object_snapshot import VERSIONS, open_object_snapshot
from emberharmony.io.store.object_store import ObjectStore
from emberharmony.io.store.object_versions import PUBLISHED, ObjectVersions, fields, root_of, serial_of
from emberharmony.io.store.objects import Objects
from emberharmony.io.store.published_objects import PublishedObjects
from emberharmony.io.store.snapshot import Leftover, Snapshot, Version
from emberharmony.io.store.source_files import check_files

RUN = "run.json"


@dataclass
class ObjectResult:
    """A prefix of a bucket; see the protocol `emberharmony.io.store.result.Result`."""

    objects: Objects
    prefix: BucketAddress
    timing: Timing = field(default_factory=Timing)
    _lease: Lease | None = None

    @property
    def address(self) -> str:
        """Address of the prefix, for messages."""
        return self.prefix.shown

    @property
    def published(self) -> Store:
        """The published files: those of the version that is current when the first is read."""
        return PublishedObjects(self.objects, self.prefix)

    def check_apart(self, source: Source, *, state: str | None = None) -> None:
        """Refuse a job whose result, source and applied state are within each other."""
        if isinstance(source, StoredFiles):
            check_files(str(self.prefix), source)
        if state is not None and BucketAddress.is_within(state, str(self.prefix)):
            raise PlanError(
                f"sink.path is {self.address}, and the state that is applied is in {without_query(state)}: the result would "
                f"replace what fitted it. Choose another folder."
            )

    @contextmanager
    def lease(self) -> Iterator[None]:
        """Hold the lease of the prefix; it is renewed meanwhile."""
        with leased(self._store, self.timing) as self._lease:
            yield
        self._lease = None

    def find(self, fingerprint: str, *, overwrite: bool, accumulates: bool = False, verify: bool = False) -> Manifest | None:
        """Return the manifest if exactly this result is published."""
        published = self.published
        self._refuse_foreign(published)
        if overwrite or published.find(MANIFEST) is None or self._may_replace(fingerprint):
            return None
        manifest = read_manifest(published)
        if manifest is None:
            return None
        if manifest.fingerprint == fingerprint:
            damaged = self._damaged(manifest, verify=verify)
            if damaged:
                raise damaged_result(self.address, damaged)
            return manifest
        if not accumulates:
            raise other_result(self.address, manifest, fingerprint)
        return None

    def recover(self, *, fingerprint: str) -> None:
        """Do nothing: a commit is one write, so none was killed in the middle."""

    def address_of_run(self, name: str) -> str:
        """Address of the prefix in which a run is staged: that of an interrupted run of the same name, if there is one."""
        resumable = self._resumable(f"{name}-")
        return str(self.prefix / f"{VERSIONS}/{resumable[0] if resumable else name}")

    def holder(self) -> Holder | None:
        """Return who the lease names."""
        info = self.objects.info(self.prefix.key_of(LEASE))
        renewed = None if info is None or info.modified is None else info.modified.timestamp()
        return None if info is None else holder_of(self._store, renewed, expire_s=self.timing.expire_s)

    def stage(self, name: str, *, discard: bool = False) -> Store:
        """Find the prefix of an interrupted run, or make a new one; with `discard`, an interrupted one is abandoned."""
        current = self._store.read_with_etag(MANIFEST)  # first: what is abandoned after this is too late to be committed
        resumable = self._resumable(f"{name}-")
        if discard:
            for run in resumable:
                self._versions.abandon(run)
            resumable = []
        store = self._versions.version(resumable[0] if resumable else f"{name}-{uuid.uuid4().hex[:8]}")
        earlier = store.find_json(RUN) if resumable else None
        note = {
            "replaces": current[1] if current else None,
            "may_replace": discard or bool(earlier and earlier["may_replace"]),
            "lease": self._lease.token if self._lease else None,
        }
        store.write_json(RUN, note)
        return store

    def staged(self, fingerprint: str, file: str) -> Sequence[Store]:
        """Return the staged runs of a job, or of all jobs, that have this file; those in which it is newest come first."""
        found = []
        for run in self._resumable(f"{fingerprint}-" if fingerprint else ""):
            info = self.objects.info((self.prefix / f"{VERSIONS}/{run}/{file}").key)
            if info is not None:
                found.append((info.modified, run))
        return [self._versions.version(run) for _, run in sorted(found, key=lambda pair: str(pair[0]), reverse=True)]

    def check_replaceable(self) -> None:
        """Raise if a manifest is here that no run wrote."""
        self._refuse_foreign(self.published)

    def check_staged(self, run: Store, manifest: Manifest) -> None:
        """Compare the sizes of a run's files with those in its manifest; their names hold their hashes.

        A run that cannot be committed any more is refused, before a sink publishes its rows elsewhere.
        """
        found, root = self._store.read_with_etag(MANIFEST), f"{VERSIONS}/{_name_of(run)}"
        if found is None or root_of(found[0]) != root:
            note = run.read_json(RUN)
            if note["lease"] is not None:
                check_held(self._store, note["lease"])
            if (found[1] if found else None) != note["replaces"]:
                raise self._too_late()
        run.make_durable(manifest.files)
        sizes = self._versions.sizes(_name_of(run))
        damaged = [file for file in manifest.files if sizes.get(file.kept_as) != file.n_bytes]
        if damaged:
            run.delete(MANIFEST)
            raise DamagedError(
                f"{len(damaged)} staged files are missing, such as {run.address_of(damaged[0])}; nothing was published.",
                damaged[0].kept_as,
            )

    def commit(self, run: Store, manifest: Manifest) -> None:
        """Let the manifest name this run, if it still names the version that the run was to replace."""
        name, note = _name_of(run), run.read_json(RUN)
        root, found = f"{VERSIONS}/{name}", self._versions.look()
        if found.current_name != name:
            if note["lease"] is not None:
                check_held(self._store, note["lease"])
            if not found.is_noted:
                self._versions.note_published(found.current)
            for other in found.resumable:
                if other != name:
                    self._versions.abandon(other)
            numbered = replace(manifest, root=root, serial=serial_of(found.current) + 1)
            if not self._written(as_json(numbered.to_json()), note["replaces"]):
                raise self._too_late()
        self._versions.note_published(as_json({"root": root}))

    def tidy(self, *, fingerprint: str = "") -> None:
        """Remove what runs have left here, all of them or those of one job, and versions that are not to be kept."""
        found = self._versions.look()
        root, keep = root_of(found.current), fields(found.current).get("keep_versions", KEEP_VERSIONS)
        note = self._store.find_json(f"{root}/{RUN}") if root else None
        if not found.is_noted:
            self._versions.note_published(found.current)
        if note:
            self._remove_working_files(found.current)
        if self._may_remove(note or {}):
            of_job = [run for run in found.resumable if fingerprint and run.startswith(f"{fingerprint}-")]
            if of_job:
                self._versions.abandon_all(of_job)
                found = self._versions.look()
            for run in (*found.dead, *found.earlier[keep:]):
                self._versions.remove(run)
        if note:
            self._store.delete(f"{root}/{RUN}")  # last: as long as it is there, this has to be done

    def versions(self) -> Sequence[Version]:
        """Return the published result and the earlier ones that are kept, newest first."""
        found = self._versions.look()
        names = [*filter(None, [found.current_name]), *found.earlier]
        return [self._versions.described(name, is_current=name == found.current_name) for name in names]

    def snapshot(self, version: str | None = None) -> Snapshot:
        """Open the published result for reading, or the version of that name."""
        known = [found.name for found in self.versions()] if version is not None else []
        return open_object_snapshot(self.objects, self.prefix, version, known=known)

    def leftovers(self, *, keep: int) -> Sequence[Leftover]:
        """Return what could be removed if `keep` earlier results are to stay."""
        look = self._versions.look()
        found = dict.fromkeys(look.unfinished, "interrupted run") | dict.fromkeys(look.earlier[keep:], "earlier result")
        return [self._versions.measured(name, what) for name, what in found.items()]

    def remove(self, leftovers: Iterable[Leftover]) -> None:
        """Remove leftovers, and nothing else."""
        names = [leftover.name.rpartition("/")[2] for leftover in leftovers]
        found = self._versions.look()
        unfinished = [name for name in found.unfinished if name in names]
        self._versions.abandon_all(unfinished)
        for name in (*unfinished, *(name for name in found.earlier if name in names)):
            self._versions.remove(name)

    def has_leftovers(self) -> bool:
        """Whether there is an unfinished run, or a published one whose working files were not removed."""
        found = self._versions.look()
        root = root_of(found.current)
        return bool(found.unfinished) or bool(root and self._store.exists(f"{root}/{RUN}"))

    @cached_property
    def _store(self) -> ObjectStore:
        return ObjectStore(self.objects, self.prefix)

    @cached_property
    def _versions(self) -> ObjectVersions:
        return ObjectVersions(self.objects, self.prefix)

    def _may_replace(self, fingerprint: str) -> bool:
        """Whether a run of this job was interrupted while it published, or while it was to replace what is here."""
        for name in self._resumable(f"{fingerprint}-"):
            run = self._versions.version(name)
            note = run.find_json(RUN)
            if run.exists(MANIFEST) or (note is not None and note["may_replace"]):
                return True
        return False

    def _resumable(self, begin: str) -> list[str]:
        """Names of the runs that may be resumed, of those whose names begin so."""
        return [name for name in self._versions.look().resumable if name.startswith(begin)]

    def _may_remove(self, note: Mapping[str, Any]) -> bool:
        """Whether nobody but this run is at work here."""
        token = self._lease.token if self._lease else note.get("lease")
        if token is None:
            return False
        try:
            check_held(self._store, token)
        except TerminalError:
            return False
        return True

    def _refuse_foreign(self, published: Store) -> None:
        content = published.find(MANIFEST)
        if content is not None and not {"fingerprint", "files"} <= fields(content).keys():
            raise DataError(
                f"{self.address} holds files that no run of emberharmony published there: {MANIFEST}. They are never "
                f"replaced. Move them away, or choose another `sink.path`."
            )

    def _too_late(self) -> TerminalError:
        return TerminalError(
            f"Another run has published to {self.address} since this one began; nothing was published by this run. Run the "
            f"same command again."
        )

    def _written(self, content: bytes, replaces: str | None) -> bool:
        """Write the manifest, if it is in the state that was seen when the run was staged."""
        if replaces is None:
            return self._store.put_if_absent(MANIFEST, content)
        return self._store.replace_if_unchanged(MANIFEST, content, ETag(replaces)) is not None

    def _remove_working_files(self, manifest: bytes) -> None:
        """Remove what is not part of a published version: receipts, statistics, and parts that lost to another worker's."""
        root = root_of(manifest)
        kept = {*file_names(manifest).values(), *(f"{root}/{name}" for name in (MANIFEST, PUBLISHED, PUBLISHED_TO, RUN))}
        start = len(self.prefix.key) + 1 if self.prefix.key else 0
        infos = self.objects.list((self.prefix / root).key)
        self.objects.delete([info.key for info in infos if info.key[start:] not in kept])

    def _damaged(self, manifest: Manifest, *, verify: bool) -> list[str]:
        sizes = self._versions.sizes(manifest.root.rpartition("/")[2])
        damaged = [file for file in manifest.files if sizes.get(file.kept_as) != file.n_bytes]
        if verify:
            damaged += [file for file in manifest.files if file not in damaged and not self._hashes(manifest, file)]
        return [file.name for file in damaged]

    def _hashes(self, manifest: Manifest, file: FileRecord) -> bool:
        return self._store.sha256(manifest.file_name(file)) == file.sha256


def result_prefix(run: Store) -> BucketAddress:
    """Return the prefix of the result for which a run is staged."""
    address = BucketAddress.parse(run.address)
    return BucketAddress(address.scheme, address.bucket, "/".join(address.key.split("/")[:-2]), address.options)


def _name_of(run: Store) -> str:
    return BucketAddress.parse(run.address).key.rpartition("/")[2]
