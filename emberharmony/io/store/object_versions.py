"""The runs and versions of a result in a bucket, each below a prefix of its own, and what marks them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from emberharmony.io.manifest import MANIFEST
from emberharmony.io.store.address import BucketAddress
from emberharmony.io.store.base import as_json
from emberharmony.io.store.object_snapshot import VERSIONS
from emberharmony.io.store.object_store import ObjectStore
from emberharmony.io.store.objects import Objects
from emberharmony.io.store.snapshot import Leftover, Version

ABANDONED = "abandoned.json"
PUBLISHED = "published.json"

_RUN_NAME = re.compile(r"[0-9a-f]{16}-\d+-[0-9a-f]{8}-[0-9a-f]{8}")


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

    def unfinished(self) -> list[str]:
        """Names of the runs that were not published."""
        root = root_of(self.current())
        return [name for name in self._folders() if root != f"{VERSIONS}/{name}" and not self.version(name).exists(PUBLISHED)]

    def resumable(self) -> list[str]:
        """Names of the runs that were neither published nor abandoned."""
        return [name for name in self.unfinished() if not self.version(name).exists(ABANDONED)]

    def dead(self) -> list[str]:
        """Names of the abandoned runs that cannot be committed: the manifest that they were to replace is gone."""
        current = self._store.read_with_etag(MANIFEST)
        found = []
        for name in self.unfinished():
            mark = self.version(name).read_with_etag(ABANDONED)
            if mark is not None and current is not None and fields(mark[0]).get("manifest") != current[1]:
                found.append(name)
        return found

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

    def earlier(self) -> list[str]:
        """Names of the versions that were published and replaced, newest first."""
        root, marked = root_of(self.current()), []
        for name in self._folders():
            marker = self.version(name).read_with_etag(PUBLISHED)
            if marker is not None and root != f"{VERSIONS}/{name}":
                marked.append((str(fields(marker[0]).get("published")), name))
        return [name for _, name in sorted(marked, reverse=True)]

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


def fields(content: bytes) -> dict[str, Any]:
    """Return a JSON object; nothing of what is none.

    Examples
    --------
    >>> fields(b'{"root": ".versions/a"}'), fields(b"text")
    ({'root': '.versions/a'}, {})
    """
    try:
        data = json.loads(content)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
