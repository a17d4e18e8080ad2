"""Results written by hand: a few small files and a manifest, staged and committed as a run does it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from emberharmony.io.manifest import MANIFEST, Manifest, WindowCounts
from emberharmony.io.sinks.delta.spec import DeltaSinkSpec
from emberharmony.io.sinks.registry import open_sink
from emberharmony.io.store.base import FileRecord, Store
from emberharmony.io.store.opening import result_at

_created = itertools.count()


def manifest_of(fingerprint: str, files: tuple[FileRecord, ...] = (), *, created: int = 0, keep: int = 1) -> Manifest:
    """A manifest of a small job."""
    return Manifest(
        fingerprint=fingerprint,
        created=f"2026-11-28T{created // 3600:02}:{created // 60 % 60:02}:{created % 60:02}+00:00",
        versions={},
        spec={"kind": "extract", "split": {"keys": []}, "windows": {"size": 3}},
        source_rows=0,
        null_times=0,
        left_out=0,
        rows={"train": 0, "test": 0},
        features=("a",),
        features_by_kind={"numeric": 1},
        dropped={},
        schema={},
        strides={"1": WindowCounts({"train": 0, "test": 0}, 1, (0.5,))},
        backends={},
        files=files,
        keep_versions=keep,
    )


def manifest_text(fingerprint: str, *, created: int = 0) -> bytes:
    """Such a manifest as it is in its file."""
    return json.dumps(manifest_of(fingerprint, created=created).to_json()).encode()


def stage_by_hand(
    sink: Path | str, text: str, *, contents: Mapping[str, bytes] | None = None, keep: int = 1
) -> tuple[Store, Manifest]:
    """Stage a run, ready to be committed: `text` is its fingerprint, and the content of its files unless these are given."""
    result = result_at(sink)
    run = result.stage(f"{sha256(text.encode()).hexdigest()[:16]}-1-00000001")
    if contents is None:
        contents = dict.fromkeys(("features/part", "report/part", "state/part"), text.encode())
    files = tuple(run.keep(name, content) for name, content in contents.items())
    run.make_durable(files)  # as a receipt does: until then, files may be on their way to a bucket
    manifest = manifest_of(text, files, created=next(_created), keep=keep)
    run.write_json(MANIFEST, manifest.to_json())
    return run, manifest


def publish_by_hand(sink: Path | str, text: str, *, contents: Mapping[str, bytes] | None = None, keep: int = 1) -> Manifest:
    """Publish such a run."""
    result = result_at(sink)
    with result.lease():
        run, manifest = stage_by_hand(sink, text, contents=contents, keep=keep)
        result.check_staged(run, manifest)
        result.commit(run, manifest)
        result.tidy()
    return manifest


def publish_to_delta(sink: Path, text: str, *, contents: Mapping[str, bytes]) -> Manifest:
    """Publish such a run to Delta tables, in place of the rows that are there."""
    delta = open_sink(DeltaSinkSpec(str(sink)))
    result = result_at(sink, elsewhere=delta.own_folders)
    with result.lease():
        run = delta.staged(result.stage(f"{sha256(text.encode()).hexdigest()[:16]}-1-00000001"))
        kept = [run.keep(name, content) for name, content in contents.items()]
        state = tuple(file for file in kept if file.name.startswith("state/"))
        rows = tuple(file for file in kept if file not in state)
        manifest = replace(manifest_of(text, state, created=next(_created)), registered=rows)
        run.write_json(MANIFEST, manifest.to_json())
        result.check_staged(run, manifest)
        delta.publish(run, manifest, state="state")
        result.commit(run, manifest)
        result.tidy()
    return manifest


def contents_of(number: int) -> dict[str, bytes]:
    """Files of a result in which every value is this number."""
    names = [
        *(f"features/split={split}/part-{part:05}.parquet" for split in ("train", "test") for part in range(2)),
        "windows/stride=1/split=train/part-00000.parquet",
    ]
    table = pa.table({"row_number": range(50), "a": pa.array([number] * 50, pa.float32())})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return {**dict.fromkeys(names, sink.getvalue().to_pybytes()), "state/part": str(number).encode()}
