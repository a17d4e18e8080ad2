"""Publishing: everything is in staging until the manifest, written last, says that it is there."""

from __future__ import annotations

import json
import logging
import shutil
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from emberharmony import __version__
from emberharmony.errors import DamagedError, DataError
from emberharmony.io.manifest import MANIFEST, Manifest, WindowCounts, read_manifest
from emberharmony.io.store.errors import explained
from emberharmony.io.store.local import UNFINISHED, FileRecord, Store
from emberharmony.pipeline.apply import measured_drift
from emberharmony.pipeline.commit import check_staged, check_writable, commit
from emberharmony.pipeline.descriptions import feature_descriptions, window_descriptions
from emberharmony.pipeline.run import FIT, FIT_PCA, Receipt, Run
from emberharmony.pipeline.staging import STAGING, remove_staged, removed_runs, staged_runs
from emberharmony.pipeline.tables import publish_tables
from emberharmony.pipeline.target import PUBLISHED, refuse_foreign
from emberharmony.planning.chunks import as_ranges
from emberharmony.stats.explained import ExplainedSquares
from emberharmony.stats.runs import Runs, merged_runs
from emberharmony.threads import compute_threads

_log = logging.getLogger(__name__)


def is_committed(run: Run) -> bool:
    """Whether the run has begun to publish: then there is nothing else left to do."""
    return run.store.exists(MANIFEST)


@explained()
def publish(run: Run) -> Manifest:
    """Write the manifest of the whole run into staging, which decides that it is published, and commit it.

    Killed in the middle and called again, it goes on where it stopped. A worker that is late by then finds nothing in its way,
    and is in nobody's.

    Raises
    ------
    DamagedError
        If a staged file is not what its record says; nothing was published, and what is damaged has to be made again.
    DataError, TerminalError
        If the sink holds files that no run wrote, or cannot be written; nothing was published.
    """
    sink = run.sink
    if not is_committed(run):
        refuse_foreign(sink)
        check_writable(sink)
        run.store.write_json(MANIFEST, _manifest(run).to_json())
    manifest = _committed_manifest(run)
    try:
        folders = check_staged(run.store, manifest, sink)
    except DamagedError:
        drop_damaged(run, n_threads=compute_threads())
        raise
    if run.spec.kind != "fit":
        publish_tables(run, manifest, sink)
    commit(run.store, manifest, sink, folders)
    try:
        tidy(sink)
    except OSError as error:  # what is published is published
        _log.warning("%s could not be removed: %s.", error.filename or sink / STAGING, (error.strerror or "").lower())
    return manifest


def _committed_manifest(run: Run) -> Manifest:
    try:
        manifest = read_manifest(run.store.root)
    except DataError as error:
        run.store.path(MANIFEST).unlink()
        raise DamagedError(f"{run.store.path(MANIFEST)} was damaged; it is written again.") from error
    assert manifest is not None
    return manifest


def tidy(sink: Path, *, of: str = "") -> None:
    """Remove what is staged at a sink, all of it or of one fingerprint; only whoever holds the sink's lock may do so."""
    for run in staged_runs(sink):
        if run.name.startswith(of):
            remove_staged(run)
    for run in removed_runs(sink):
        shutil.rmtree(run, ignore_errors=True)
    unfinished = sink / STAGING / UNFINISHED
    if unfinished.is_dir() and not unfinished.is_symlink():
        for path in unfinished.glob(".writable-*"):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            unfinished.rmdir()


def drop_damaged(run: Run, *, n_threads: int = 1) -> int:
    """Look through what an earlier run has left, and take back what is not as its receipts say; returns how many stages.

    A machine that lost its power can leave files of the right size and name that hold zeros.
    """
    receipts = list(run.store.path("receipts").glob("*/*.json"))
    with ThreadPoolExecutor(n_threads) as pool:
        held = list(pool.map(lambda path: _holds(run, path), receipts))
    for path, holds in zip(receipts, held, strict=True):
        if not holds:
            path.unlink(missing_ok=True)
    return held.count(False)


def invalidate(run: Run, name: str) -> None:
    """Invalidate the stage that wrote the file that is kept under this name, if any still claims to have done so."""
    for path in run.store.path("receipts").glob("*/*.json"):
        if any(file.kept_as == name for file in Receipt.from_json(json.loads(path.read_bytes())).files):
            path.unlink()


def _holds(run: Run, receipt: Path) -> bool:
    try:
        return all(run.store.holds(file) for file in Receipt.from_json(json.loads(receipt.read_bytes())).files)
    except (ValueError, TypeError, KeyError):  # not JSON, or not a receipt
        return False


def _manifest(run: Run) -> Manifest:
    files, backends, left_out = list[FileRecord](), Counter[str](), 0
    computed: dict[str, dict[str, list[int]]] = {}
    differences: list[float] = []
    chunk_stages = [name for name in ("profile", "featurize", "project") if run.has_receipts(name)]
    clipped: dict[str, Counter[str]] = {stage: Counter() for stage in chunk_stages}
    explained = {str(stride): ExplainedSquares() for stride in run.spec.windows.strides}
    runs: dict[str, Runs] = {}
    windows = {stride: dict.fromkeys(run.splits, 0) for stride in run.spec.windows.strides}
    wanted = ("state",) if run.spec.kind == "fit" else PUBLISHED
    for stage in chunk_stages:
        for receipt in run.receipts(stage):
            backends[receipt.backend] += 1
            runs = merged_runs(runs, receipt.runs)
            computed.setdefault(stage, {}).setdefault(f"{receipt.backend} on {receipt.host}", []).append(receipt.chunk)
            if receipt.parity is not None:
                differences.append(receipt.parity)
            clipped[stage].update(receipt.clipped)
            if stage == "profile":
                left_out += receipt.left_out
                continue
            files.extend(file for file in receipt.files if file.name.split("/")[0] in wanted)
            if stage == "project":
                for key, n_windows in receipt.rows.items():
                    stride, split = key.split("/")
                    windows[int(stride)][split] += n_windows
                for stride, squares in receipt.explained.items():
                    explained[stride] = explained[stride].merge(squares)
    for stage in (FIT, FIT_PCA):
        fitted = run.committed(stage, 0)
        if fitted:
            files.extend(file for file in fitted.files if file.name.split("/")[0] in wanted)
    _check_sizes(run.store, files)
    features = [file for file in files if file.name.startswith("features/")]
    totals = dict(zip(run.splits, run.series_starts[-1].tolist(), strict=True))
    pcas, times = run.pcas, runs.pop("time", Runs())
    if run.spec.kind == "fit":
        windows = {stride: {"train": pca.n_windows} for stride, pca in pcas.items()}
    return Manifest(
        fingerprint=run.fingerprint,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={"emberharmony": __version__, **{name: metadata.version(name) for name in ("numpy", "pyarrow")}},
        spec=run.spec.to_json(),
        source_rows=run.facts["source_rows"],
        null_times=run.facts["null_times"],
        left_out=left_out,
        rows=totals,
        features=run.preprocessing.feature_names,
        descriptions=feature_descriptions(run.preprocessing.columns),
        window_columns=window_descriptions(run) if run.spec.windows.strides else {},
        features_by_kind=run.preprocessing.features_by_kind,
        dropped={column.name: column.reason for column in run.preprocessing.dropped},
        schema=_schema_of(run.store, features[0]) if features else {},
        strides={
            str(stride): WindowCounts(
                windows=windows[stride],
                components=pca.n_components,
                explained_variance_ratio=tuple(pca.explained_variance_ratio.tolist()),
                applied_explained=explained[str(stride)].share,
                clipped=clipped["project"][str(stride)] if "project" in clipped else 0,
            )
            for stride, pca in pcas.items()
        },
        backends=dict(backends),
        files=tuple(files),
        computed={stage: {who: in_few_words(chunks) for who, chunks in by.items()} for stage, by in computed.items()},
        parity={"chunks": len(differences), "largest": max(differences)} if differences else {},
        drift=measured_drift(run) if run.spec.kind == "apply" else {},
        shared_times=times.n_shared,
        key_changes=sum(max(of_split.n_runs - 1, 0) for of_split in runs.values()),
        nonfinite={c.name: c.n_nonfinite for c in run.preprocessing.columns if c.n_nonfinite and run.spec.kind != "apply"},
        clipped=dict(clipped["featurize"]) if run.spec.kind != "fit" and "featurize" in clipped else {},
    )


def in_few_words(numbers: Sequence[int]) -> str:
    """Rising numbers in a few words.

    Examples
    --------
    >>> in_few_words([0, 1, 2, 5, 7, 8])
    '0-2,5,7-8'
    """
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in as_ranges(numbers))


def _check_sizes(store: Store, files: list[FileRecord]) -> None:
    """A last look: content was checked where it was read, and where an earlier run left it."""
    for file in files:
        path = store.path(file)
        if not path.exists() or path.stat().st_size != file.n_bytes:
            raise DamagedError(
                f"{path} is missing or was changed since this job wrote it; nothing was published.", file.kept_as
            )


def _schema_of(store: Store, file: FileRecord) -> dict[str, str]:
    schema: pa.Schema = pq.read_schema(store.path(file))
    return {field.name: str(field.type) for field in schema}
