"""Publishing: everything is in staging until the manifest, written last, says that it is there."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from emberharmony import __version__
from emberharmony.errors import DamagedError, DataError, TerminalError
from emberharmony.io.manifest import MANIFEST, Manifest, WindowCounts, read_manifest
from emberharmony.io.storage_errors import explained
from emberharmony.io.store import UNFINISHED, FileRecord, Store
from emberharmony.pipeline.apply import measured_drift
from emberharmony.pipeline.plan import OLD, REPLACES, STAGING, remove_staged
from emberharmony.pipeline.run import FIT, FIT_PCA, Receipt, Run
from emberharmony.pipeline.tables import PLACE, SINK, feature_descriptions, publish_tables
from emberharmony.planning.chunks import as_ranges

PUBLISHED = ("features", "windows", "state")


def check_target(sink: Path, fingerprint: str, *, overwrite: bool) -> Manifest | None:
    """Return the manifest if this very result is published there already.

    Raises
    ------
    DataError
        If something else is there that may not be overwritten.
    """
    manifest = read_manifest(sink)
    if manifest is not None and manifest.fingerprint == fingerprint and not overwrite:
        return manifest
    if overwrite or _taken_up(sink, fingerprint):
        return None
    if manifest is not None:
        raise DataError(
            f"{sink} holds the result of another job or of other data (fingerprint {manifest.fingerprint}, this one is "
            f"{fingerprint}). Choose another `sink.path`, or replace it with --overwrite."
        )
    foreign = [name for name in PUBLISHED if (sink / name).exists()]
    if foreign:
        raise DataError(
            f"{sink} holds {', '.join(foreign)} without a manifest, which no finished run leaves behind. Choose another "
            f"`sink.path`, or replace them with --overwrite."
        )
    return None


def is_decided(run: Run) -> bool:
    """Whether the run has begun to publish: then there is nothing else left to do."""
    return run.store.exists(MANIFEST)


@explained()
def publish(run: Run, sink: Path) -> Manifest:
    """Check that every part is there, write the manifest, and move all of it from staging to its place.

    Killed in the middle and called again, it goes on where it stopped: the manifest in staging is the decision, the one in
    place the announcement. A worker that is late by then finds nothing in its way, and is in nobody's.

    Raises
    ------
    DamagedError
        If a file is not what its record says; nothing was published then.
    """
    if not is_decided(run):
        run.store.write_json(MANIFEST, _manifest(run).to_json())
    manifest = read_manifest(run.store.root)
    assert manifest is not None
    if run.spec.kind != "fit":
        publish_tables(run, manifest, sink)
    # From here on what was published before is withdrawn: a reader sees all of a run, or nothing.
    (sink / MANIFEST).unlink(missing_ok=True)
    names = {file.name for file in manifest.files}
    for folder in {name.rpartition("/")[0] for name in names}:
        (sink / folder).mkdir(parents=True, exist_ok=True)
    for file in manifest.files:
        _move(run.store.path(file), sink / file.name, n_bytes=file.n_bytes)
    if run.store.exists(SINK):
        names.add(PLACE)
        if run.store.exists(PLACE):
            run.store.path(PLACE).replace(sink / PLACE)
    _remove_others(sink, names)
    run.store.path(MANIFEST).replace(sink / MANIFEST)
    tidy(sink)
    return manifest


def tidy(sink: Path, *, of: str = "") -> None:
    """Remove what is staged at a sink, all of it or of one fingerprint; only whoever holds the sink's lock may do so."""
    for pattern in (f"{of}*", f"{OLD}*", UNFINISHED):
        for path in filter(Path.is_dir, (sink / STAGING).glob(pattern)):
            remove_staged(path)


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


def take_back(run: Run, name: str) -> None:
    """Take back the stage that kept a file under this name.

    Raises
    ------
    DamagedError
        If no stage says that it has written it.
    """
    for path in run.store.path("receipts").glob("*/*.json"):
        if any(file.kept_as == name for file in Receipt.from_json(json.loads(path.read_bytes())).files):
            path.unlink()
            return
    raise DamagedError(f"{run.store.path(name)} is missing, and nothing says how to make it again. Use --overwrite.")


def _holds(run: Run, receipt: Path) -> bool:
    try:
        return all(run.store.holds(file) for file in Receipt.from_json(json.loads(receipt.read_bytes())).files)
    except (ValueError, TypeError, KeyError):  # not JSON, or not a receipt
        return False


def _taken_up(sink: Path, fingerprint: str) -> bool:
    """Whether a run with this fingerprint was interrupted while it published, or while it was to replace what is there."""
    return any(any((sink / STAGING).glob(f"{fingerprint}-*/{name}")) for name in (MANIFEST, REPLACES))


def _manifest(run: Run) -> Manifest:
    files, backends, left_out = list[FileRecord](), Counter[str](), 0
    computed: dict[str, dict[str, list[int]]] = {}
    differences: list[float] = []
    windows = {stride: dict.fromkeys(run.splits, 0) for stride in run.spec.windows.strides}
    wanted = ("state",) if run.spec.kind == "fit" else PUBLISHED
    for stage in run.chunk_stages:
        for receipt in run.receipts(stage):
            backends[receipt.backend] += 1
            computed.setdefault(stage, {}).setdefault(f"{receipt.backend} on {receipt.host}", []).append(receipt.chunk)
            if receipt.parity is not None:
                differences.append(receipt.parity)
            if stage == "profile":
                left_out += receipt.left_out
                continue
            files.extend(file for file in receipt.files if file.name.split("/")[0] in wanted)
            if stage == "project":
                for key, n_windows in receipt.rows.items():
                    stride, split = key.split("/")
                    windows[int(stride)][split] += n_windows
    for stage in (FIT, FIT_PCA):
        fitted = run.committed(stage, 0)
        if fitted:
            files.extend(file for file in fitted.files if file.name.split("/")[0] in wanted)
    _check_sizes(run.store, files)
    features = [file for file in files if file.name.startswith("features/")]
    totals = dict(zip(run.splits, run.series_starts[-1].tolist(), strict=True))
    pcas = run.pcas
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
        features_by_kind=run.preprocessing.features_by_kind,
        dropped={column.name: column.reason for column in run.preprocessing.dropped},
        schema=_schema_of(run.store, features[0]) if features else {},
        strides={
            str(stride): WindowCounts(windows[stride], pca.n_components, tuple(pca.explained_variance_ratio.tolist()))
            for stride, pca in pcas.items()
        },
        backends=dict(backends),
        files=tuple(files),
        computed={stage: {who: in_few_words(chunks) for who, chunks in by.items()} for stage, by in computed.items()},
        parity={"chunks": len(differences), "largest": max(differences)} if differences else {},
        drift=measured_drift(run) if run.spec.kind == "apply" else {},
        nonfinite={c.name: c.n_nonfinite for c in run.preprocessing.columns if c.n_nonfinite and run.spec.kind != "apply"},
    )


def in_few_words(numbers: Sequence[int]) -> str:
    """Rising numbers in a few words.

    Examples
    --------
    >>> in_few_words([0, 1, 2, 5, 7, 8])
    '0-2,5,7-8'
    """
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in as_ranges(numbers))


def _move(staged: Path, place: Path, *, n_bytes: int) -> None:
    """Move a file, unless it was moved before we were killed."""
    if staged.exists():
        staged.replace(place)
    elif not place.exists() or place.stat().st_size != n_bytes:
        raise TerminalError(f"{staged} vanished while it was published. Run the same command again with --overwrite.")


def _remove_others(sink: Path, names: Collection[str]) -> None:
    """Remove what an older result has left in the published folders."""
    for published in PUBLISHED:
        for name, _, files in os.walk(sink / published, topdown=False):
            folder = Path(name)
            for path in map(folder.joinpath, files):
                if path.relative_to(sink).as_posix() not in names:
                    path.unlink()
            if not any(folder.iterdir()):
                folder.rmdir()


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
