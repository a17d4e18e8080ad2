"""Publishing: everything is in staging until the manifest, written last, says that it is there."""

from __future__ import annotations

import shutil
from collections import Counter
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from emberharmony import __version__
from emberharmony.errors import DataError
from emberharmony.io.manifest import MANIFEST, Manifest, WindowCounts, read_manifest
from emberharmony.io.store import FileRecord, Store
from emberharmony.pipeline.plan import STAGING
from emberharmony.pipeline.run import Run
from emberharmony.splits import SPLITS

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
    if overwrite or _publishing(sink, fingerprint):
        return None
    if manifest is not None:
        raise DataError(
            f"{sink} holds the result of another job or of other data (fingerprint {manifest.fingerprint}, this one is {fingerprint}). "
            f"Choose another `sink.path`, or replace it with --overwrite."
        )
    foreign = [name for name in PUBLISHED if (sink / name).exists()]
    if foreign:
        raise DataError(
            f"{sink} holds {', '.join(foreign)} without a manifest, which no finished run leaves behind. Choose another `sink.path`, or "
            f"replace them with --overwrite."
        )
    return None


def publish(run: Run, sink: Path) -> Manifest:
    """Check that every part is there, write the manifest, and move all of it from staging to its place.

    Killed in the middle and called again, it goes on where it stopped: the manifest in staging is the decision, the one in
    place the announcement.
    """
    staged = run.store.path(MANIFEST)
    if not staged.exists():
        run.store.write_json(MANIFEST, _manifest(run).to_json())
        # From here on what was published before is withdrawn: a reader sees all of a run, or nothing.
    (sink / MANIFEST).unlink(missing_ok=True)
    for name in PUBLISHED:
        source, target = run.store.path(name), sink / name
        if source.exists():
            if target.exists():
                shutil.rmtree(target)
            source.replace(target)
    staged.replace(sink / MANIFEST)
    shutil.rmtree(sink / STAGING)
    manifest = read_manifest(sink)
    assert manifest is not None
    return manifest


def _publishing(sink: Path, fingerprint: str) -> bool:
    """Whether a run with this fingerprint was interrupted while it published."""
    return any((sink / STAGING).glob(f"{fingerprint}-*/{MANIFEST}"))


def _manifest(run: Run) -> Manifest:
    files, backends, left_out = list[FileRecord](), Counter[str](), 0
    windows = {stride: dict.fromkeys(SPLITS, 0) for stride in run.spec.windows.strides}
    for stage in ("profile", "featurize", "project"):
        for receipt in run.receipts(stage):
            backends[receipt.backend] += 1
            if stage == "profile":
                left_out += receipt.left_out
                continue
            files.extend(file for file in receipt.files if file.name.split("/")[0] in PUBLISHED)
            if stage == "project":
                for key, n_windows in receipt.rows.items():
                    stride, split = key.split("/")
                    windows[int(stride)][split] += n_windows
    _check_files(run.store, files)
    features = [file for file in files if file.name.startswith("features/")]
    totals = dict(zip(SPLITS, run.series_starts[-1].tolist(), strict=True))
    pcas = run.pcas
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
        features_by_kind=run.preprocessing.features_by_kind,
        dropped={column.name: column.reason for column in run.preprocessing.dropped},
        schema=_schema_of(run.store, features[0]),
        strides={
            str(stride): WindowCounts(windows[stride], pca.n_components, tuple(pca.explained_variance_ratio.tolist()))
            for stride, pca in pcas.items()
        },
        backends=dict(backends),
        files=tuple(files),
    )


def _check_files(store: Store, files: list[FileRecord]) -> None:
    for file in files:
        path = store.path(file.name)
        if not path.exists() or path.stat().st_size != file.n_bytes:
            raise DataError(f"{path} is missing or was changed since this job wrote it; nothing was published. Use --overwrite.")


def _schema_of(store: Store, file: FileRecord) -> dict[str, str]:
    schema: pa.Schema = pq.read_schema(store.path(file.name))
    return {field.name: str(field.type) for field in schema}
