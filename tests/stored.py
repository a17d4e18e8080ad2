"""Results written by hand: two small files and a manifest, staged and committed as a run does it."""

from __future__ import annotations

import itertools
import json
from hashlib import sha256
from pathlib import Path

from emberharmony.io.manifest import MANIFEST, Manifest
from emberharmony.io.store.base import FileRecord, Store
from emberharmony.io.store.opening import result_at

_created = itertools.count()


def manifest_of(fingerprint: str, files: tuple[FileRecord, ...] = (), *, created: int = 0, keep: int = 1) -> Manifest:
    """A manifest of a job without windows."""
    return Manifest(
        fingerprint=fingerprint,
        created=f"2026-11-28T{created // 3600:02}:{created // 60 % 60:02}:{created % 60:02}+00:00",
        versions={},
        spec={"kind": "extract"},
        source_rows=0,
        null_times=0,
        left_out=0,
        rows={"train": 0},
        features=("a",),
        features_by_kind={"numeric": 1},
        dropped={},
        schema={},
        strides={},
        backends={},
        files=files,
        keep_versions=keep,
    )


def manifest_text(fingerprint: str, *, created: int = 0) -> bytes:
    """Such a manifest as it is in its file."""
    return json.dumps(manifest_of(fingerprint, created=created).to_json()).encode()


def stage_by_hand(sink: Path | str, text: str, *, keep: int = 1) -> tuple[Store, Manifest]:
    """Stage a run whose files have the text as their content, ready to be committed; `text` is its fingerprint as well."""
    result = result_at(sink)
    run = result.stage(f"{sha256(text.encode()).hexdigest()[:16]}-1-00000001")
    files = tuple(run.keep(f"{folder}/part", text.encode()) for folder in ("features", "state"))
    manifest = manifest_of(text, files, created=next(_created), keep=keep)
    run.write_json(MANIFEST, manifest.to_json())
    return run, manifest


def publish_by_hand(sink: Path | str, text: str, *, keep: int = 1) -> Manifest:
    """Publish such a run."""
    result = result_at(sink)
    with result.lease():
        run, manifest = stage_by_hand(sink, text, keep=keep)
        result.check_staged(run, manifest)
        result.commit(run, manifest)
        result.tidy()
    return manifest
