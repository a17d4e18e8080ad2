"""Runs in staging: the folder below a sink in which a planned job is carried out until it is published."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import uuid
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np

from emberharmony.arrow import text_columns
from emberharmony.io.store.access import Access, make_folder
from emberharmony.io.store.errors import explained
from emberharmony.io.store.local import Store, as_safetensors
from emberharmony.pipeline.plan import Plan
from emberharmony.pipeline.run import PLAN_VERSION, RunRef, forget_runs
from emberharmony.typing import IntArray

STAGING = ".staging"
_STAGED_RUN = re.compile(r"[0-9a-f]{16}-\d+-[0-9a-f]{8}")
OLD = ".old-"
"""What the names of folders begin with that are being removed."""
REPLACES = "replaces"
"""Mark, in a staged run, that what is published may be replaced by it."""


@explained()
def stage_plan(plan: Plan, sink: Path, *, backend: str | None, anew: bool = False, access: Access = "private") -> RunRef:
    """Write the plan into its staging folder, or find it there from an interrupted run; returns what tasks are told.

    The folder's name holds the fingerprint and the chunks, so that only the same work is ever taken up again. A run that
    replaces what is published says so in its folder, so that it can be taken up without being told again.
    """
    store, cut = Store(staging_of(plan, sink)), _cut(plan)
    if anew and store.root.exists():
        remove_staged(store.root)
    for folder in (sink, sink / STAGING, store.root):
        make_folder(folder, access)
    store.check_writable()
    if anew:
        store.write(REPLACES, b"")
    chunks = {"first_row": cut[:, 0], "n_rows": cut[:, 1]}
    if not plan.in_order:
        chunks["times"] = cut[:, 2:4]
    if cut.shape[1] > 4:
        chunks["ties"] = cut[:, 4:]
    store.write("chunks.safetensors", as_safetensors(chunks))
    store.write_json("plan.json", _as_json(plan))  # last: a plan that is there is whole
    forget_runs()
    return RunRef(str(store.root.absolute()), backend, token=uuid.uuid4().hex[:8])


def remove_staged(folder: Path) -> None:
    """Remove a folder of staging, out of the way first: half of it must not look like a run, nor a late worker get in."""
    shutil.rmtree(folder.rename(folder.with_name(f"{OLD}{uuid.uuid4().hex[:8]}")))


def staged_runs(sink: Path) -> list[Path]:
    """Folders of the runs that are staged at a sink; whatever else somebody keeps below `.staging` is none of them."""
    staging = sink / STAGING
    if staging.is_symlink() or not staging.is_dir():
        return []
    return sorted(path for path in staging.iterdir() if _STAGED_RUN.fullmatch(path.name) and _is_folder(path))


def removed_runs(sink: Path) -> list[Path]:
    """Folders of staged runs whose removal was begun."""
    pattern = re.compile(re.escape(OLD) + "[0-9a-f]{8}")
    return [path for path in (sink / STAGING).glob(f"{OLD}*") if pattern.fullmatch(path.name) and _is_folder(path)]


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def staging_of(plan: Plan, sink: Path) -> Path:
    """Folder in which a plan is carried out: the name holds the fingerprint and the chunks."""
    return sink / STAGING / f"{plan.fingerprint}-{len(plan.chunks)}-{_digest(_cut(plan))}"


@explained()
def staged_chunk_rows(sink: Path, fingerprint: str) -> int | None:
    """Chunk size of an interrupted run of the same job, if there is one.

    The size that fits depends on what memory was in use when the job was planned; a run that is taken up keeps the one it had.
    """
    plans = [run / "plan.json" for run in staged_runs(sink) if run.name.startswith(f"{fingerprint}-")]
    newest = sorted((path for path in plans if path.exists()), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in newest:
        with suppress(ValueError, KeyError, TypeError):  # a damaged plan is written again when the run is staged
            return int(json.loads(path.read_bytes())["facts"]["chunk_rows"])
    return None


def _as_json(plan: Plan) -> dict[str, object]:
    return {
        "version": PLAN_VERSION,
        "fingerprint": plan.fingerprint,
        "spec": plan.spec.to_json(),
        "schema": base64.b64encode(plan.table.schema.serialize()).decode(),
        "roles": asdict(plan.roles),
        "n_rows": plan.n_rows,
        "boundaries": asdict(plan.boundaries) if plan.boundaries else None,
        "texts": {
            "bytes_per_row": {name: plan.table.bytes_per_row[name] for name in text_columns(plan.table.schema)},
            "spare_bytes": plan.memory.spare_bytes,
        },
        "facts": {
            "source_rows": plan.table.n_rows,
            "null_times": plan.n_null_times,
            "in_order": plan.in_order,
            "chunk_rows": plan.memory.chunk_rows,
            "projected_bytes": plan.memory.projected_bytes,
        },
    }


def _cut(plan: Plan) -> IntArray:
    cut = np.array([[c.first_row, c.n_rows, *(c.times or (0, 0)), *(c.ties or (0, 0))] for c in plan.chunks], np.int64)
    return cut if any(chunk.ties for chunk in plan.chunks) else cut[:, :4].copy()


def _digest(cut: IntArray) -> str:
    return hashlib.sha256(cut.tobytes()).hexdigest()[:8]
