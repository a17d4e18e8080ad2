"""The runs and versions of a result in a bucket, each below a prefix of its own, and what marks them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple

from emberharmony.io.manifest import MANIFEST
from emberharmony.io.store.address import BucketAddress
from emberharmony.io.store.base import ETag, as_json
from emberharmony.io.store.object_snapshot import VERSIONS
from emberharmony.io.store.object_store import ObjectStore
from emberharmony.io.store.objects import Objects
from emberharmony.io.store.snapshot import Leftover, Version
from emberharmony.threads import in_parallel

ABANDONED = "abandoned.json"
PUBLISHED = "published.json"

_RUN_NAME = re.compile(r"[0-9a-f]{16}-\d+-[0-9a-f]{8}-[0-9a-f]{8}")


class Marks(NamedTuple):
    """What is written beside a run that has ended; ``None`` if it is not."""

    published: bytes | None
    abandoned: bytes | None  # only of a run that was not published


@dataclass(frozen=True)
class Look:
    """What marks the runs and versions of a result, as it was while the manifest did not change."""

    manifest: tuple[bytes, ETag] | None
    """The published manifest, and its state."""
    marks: Mapping[str, Marks]
    """Of each run and version, by its name."""

    @property
    def current(self) -> bytes:
        """The published manifest; empty if there is none."""
        return self.manifest[0] if self.manifest else b""

    @cached_property
    def current_name(self) -> str:
        """Name of the published version; empty if there is none."""
        return root_of(self.current).rpartition("/")[2]

    @property
    def is_noted(self) -> bool:
        """Whether the published version is marked as published, or there is none."""
        return not self.current_name or self._is_published(self.current_name)

    @property
    def unfinished(self) -> list[str]:
        """Names of the runs that were not published."""
        return [name for name in self.marks if name != self.current_name and not self._is_published(name)]

    @property
    def resumable(self) -> list[str]:
        """Names of the runs that were neither published nor abandoned."""
        return [name for name in self.unfinished if self.marks[name].abandoned is None]

    @property
    def dead(self) -> list[str]:
        """Names of the abandoned runs that cannot be committed: the manifest that they were to replace is gone."""
        found = ((name, self.marks[name].abandoned) for name in self.unfinished)
        return [
            name
            for name, mark in found
            if mark is not None and self.manifest and fields(mark).get("manifest") != self.manifest[1]
        ]

    @property
    def earlier(self) -> list[str]:
        """Names of the versions that were published and replaced, newest first."""
        replaced = [name for name in self.marks if name != self.current_name and self._is_published(name)]
        since = {name: str(fields(self.marks[name].published).get("published")) for name in replaced}
        return sorted(replaced, key=lambda name: (since[name], name), reverse=True)

    def _is_published(self, name: str) -> bool:
        return name in self.marks and self.marks[name].published is not None


@dataclass(frozen=True)
class ObjectVersions:
    """What is below `.versions` of a result's prefix; see `emberharmony.io.store.object_result`."""

    objects: Objects
    prefix: BucketAddress

    @cached_property
    def _store(self) -> ObjectStore:
        return ObjectStore(self.objects, self.prefix)

    def version(self, name: str) -> ObjectStore:
        """Return the store of a run or version."""
        return ObjectStore(self.objects, self.prefix / f"{VERSIONS}/{name}")

    def _folders(self) -> list[str]:
        return [name for name in self.objects.folders(self.prefix.key_of(VERSIONS)) if _RUN_NAME.fullmatch(name)]

    def current(self) -> bytes:
        """The published manifest; empty if there is none."""
        found = self._store.read_with_etag(MANIFEST)
        return found[0] if found is not None else b""

    def look(self) -> Look:
        """Return what marks the runs and versions, all of it read while the manifest was in one state."""
        current = self._store.read_with_etag(MANIFEST)
        while names := self._folders():
            marks = dict(zip(names, in_parallel(self._marks, names, self._store.readers), strict=True))
            before, current = current, self._store.read_with_etag(MANIFEST)
            if before == current:
                return Look(current, marks)
        return Look(current, {})

    def _marks(self, name: str) -> Marks:
        store = self.version(name)
        published = store.find(PUBLISHED)
        return Marks(published, store.find(ABANDONED) if published is None else None)

    def abandon(self, name: str) -> None:
        """Have nobody resume a run. Who works on it now may commit it as long as the manifest stays what it is."""
        current = self._store.read_with_etag(MANIFEST)
        self.version(name).put_if_absent(ABANDONED, as_json({"manifest": current[1] if current else None}))

    def abandon_all(self, names: Sequence[str]) -> None:
        """Have nobody resume or commit these runs: the manifest is written again, under the next number."""
        for name in names:
            self.abandon(name)
        current = self._store.read_with_etag(MANIFEST)
        if names and current is not None:
            numbered = {**fields(current[0]), "serial": serial_of(current[0]) + 1}
            self._store.replace_if_unchanged(MANIFEST, as_json(numbered), current[1])

    def described(self, name: str, *, is_current: bool) -> Version:
        """Return what is known of a version."""
        found = self.version(name).read_with_etag(MANIFEST)
        manifest = fields(found[0] if found else b"")
        n_bytes = sum(int(file["n_bytes"]) for file in manifest.get("files", ()))
        return Version(name, str(manifest.get("created", "")), str(manifest.get("fingerprint", "")), n_bytes, is_current)

    def measured(self, name: str, what: str) -> Leftover:
        """Return a run or version as something to remove."""
        infos = list(self.objects.list(self.prefix.key_of(f"{VERSIONS}/{name}")))
        newest = max((info.modified for info in infos if info.modified), default=None)
        modified = newest.astimezone(UTC).isoformat(timespec="seconds") if newest else ""
        return Leftover(f"{VERSIONS}/{name}", what, sum(info.n_bytes for info in infos), modified)

    def note_published(self, manifest: bytes) -> None:
        """Mark the version of a manifest as published."""
        root = root_of(manifest)
        if root:
            self._store.put_if_absent(f"{root}/{PUBLISHED}", as_json({"published": _now()}))

    def remove(self, name: str) -> None:
        """Remove a run or a version: first what makes it look complete, last what says that it was published or abandoned."""
        prefix = self.prefix.key_of(f"{VERSIONS}/{name}")
        first, *last = (f"{prefix}/{name}" for name in (MANIFEST, ABANDONED, PUBLISHED))
        keys = [info.key for info in self.objects.list(prefix)]
        between = [key for key in keys if key not in (first, *last)]
        for some in ([first], between, last):
            self.objects.delete([key for key in some if some is between or key in keys])

    def sizes(self, name: str) -> dict[str, int]:
        """Return the sizes of a run's or version's files by their names."""
        prefix = self.prefix.key_of(f"{VERSIONS}/{name}")
        return {info.key[len(prefix) + 1 :]: info.n_bytes for info in self.objects.list(prefix)}


def root_of(manifest: bytes) -> str:
    """Return the folder of the version that a manifest names."""
    return str(fields(manifest).get("root", ""))


def serial_of(manifest: bytes) -> int:
    """Return the number of a manifest among those of its place."""
    return int(fields(manifest).get("serial", 0))


def fields(content: bytes | None) -> dict[str, Any]:
    """Return a JSON object; nothing of what is none.

    Examples
    --------
    >>> fields(b'{"root": ".versions/a"}'), fields(b"text")
    ({'root': '.versions/a'}, {})
    """
    try:
        data = json.loads(content or b"")
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
