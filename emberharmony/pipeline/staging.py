"""Runs in staging: the folder below a sink in which a planned job is carried out until it is published."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from contextlib import suppress
from pathlib import Path

from emberharmony.io.store.access import Access, make_folder
from emberharmony.io.store.errors import translated
from emberharmony.io.store.local import LocalStore
from emberharmony.pipeline.plan import Plan
from emberharmony.pipeline.plan_file import PLAN, StagedPlan
from emberharmony.pipeline.run import RunRef, forget_runs

STAGING = ".staging"
_STAGED_RUN = re.compile(r"[0-9a-f]{16}-\d+-[0-9a-f]{8}")
OLD = ".old-"
"""What the names of folders begin with that are being removed."""
REPLACES = "replaces"
"""Mark, in a staged run, that what is published may be replaced by it."""


@translated()
def stage_plan(plan: Plan, sink: Path, *, backend: str | None, anew: bool = False, access: Access = "private") -> RunRef:
    """Write the plan into its staging folder, or find it there from an interrupted run; returns what tasks are told.

    The folder's name holds the fingerprint and the chunks, so that only the same work is ever taken up again. A run that
    replaces what is published says so in its folder, so that it can be taken up without being told again.
    """
    staged = StagedPlan.of(plan)
    store = LocalStore(sink / STAGING / staged.run_name)
    if anew and store.root.exists():
        remove_staged(store.root)
    for folder in (sink, sink / STAGING, store.root):
        make_folder(folder, access)
    store.check_writable()
    if anew:
        store.put(REPLACES, b"")
    staged.write(store)
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
    return sink / STAGING / StagedPlan.of(plan).run_name


@translated()
def staged_chunk_rows(sink: Path, fingerprint: str) -> int | None:
    """Chunk size of an interrupted run of the same job, if there is one.

    The size that fits depends on what memory was in use when the job was planned; a run that is taken up keeps the one it had.
    """
    plans = [run / PLAN for run in staged_runs(sink) if run.name.startswith(f"{fingerprint}-")]
    newest = sorted((path for path in plans if path.exists()), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in newest:
        with suppress(ValueError, KeyError, TypeError):  # a damaged plan is written again when the run is staged
            return int(json.loads(path.read_bytes())["facts"]["chunk_rows"])
    return None
