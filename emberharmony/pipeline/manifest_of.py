"""The manifest of a run, from the totals of its receipts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from getpass import getuser
from platform import node

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emberharmony.features.drift import drift_verdict
from emberharmony.io.manifest import Manifest, WindowCounts
from emberharmony.io.parts import own_schema
from emberharmony.io.store.base import FileRecord, Store
from emberharmony.pca import WindowPCA
from emberharmony.pipeline.apply import measured_drift
from emberharmony.pipeline.descriptions import feature_descriptions, window_descriptions
from emberharmony.pipeline.run import Run
from emberharmony.pipeline.state_comparison import compared_with_earlier
from emberharmony.pipeline.totals import Totals
from emberharmony.planning.chunks import as_ranges
from emberharmony.stats.runs import Runs
from emberharmony.stats.series_span import SeriesSpan
from emberharmony.version import VERSION


def manifest_of(run: Run, totals: Totals) -> Manifest:
    """Return the manifest of a run whose stages are done.

    Raises
    ------
    DamagedError
        If a file that it reads is missing or was changed.
    """
    spec, job, fitted = run.plan.spec, run.plan.spec.job, run.fitted.preprocessing
    features = [file for file in totals.files if file.name.startswith("features/")]
    kept = [file for file in totals.files if file.name.split("/")[0] in run.sink.own_folders]
    times = totals.runs.pop("time", Runs())
    drift = {} if job.fits else measured_drift(run)
    return Manifest(
        fingerprint=run.plan.fingerprint,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={"emberharmony": VERSION, "numpy": np.__version__, "pyarrow": pa.__version__},
        spec=spec.to_json(),
        source_rows=run.plan.facts["source_rows"],
        null_times=run.plan.facts["null_times"],
        left_out=totals.left_out,
        rows={split: rows - totals.context["rows"] for split, rows in run.fitted.rows.items()},
        context=dict(totals.context) if run.plan.slice_start else {},
        features=fitted.feature_names,
        descriptions=feature_descriptions(fitted.columns),
        window_columns=window_descriptions(run) if spec.windows.strides else {},
        features_by_kind=fitted.features_by_kind,
        dropped={column.name: column.reason for column in fitted.dropped},
        schema=_schema_of(run.store, features[0]) if features else {},
        strides={str(stride): _window_counts(str(stride), pca, totals, run) for stride, pca in run.fitted.pcas.items()},
        backends=dict(totals.backends),
        files=tuple(file for file in totals.files if file not in kept),
        registered=tuple(kept),
        computed={stage: _in_ranges(totals.work[stage].by_worker()) for stage in totals.chunk_stages},
        parity={"chunks": len(totals.parity), "largest": max(totals.parity)} if totals.parity else {},
        comparison=compared_with_earlier(run),
        applied_state=run.plan.facts.get("applied_state", {}),
        drift=drift,
        drift_verdicts={column: drift_verdict(found) for column, found in drift.items()},
        series={name: _series_of(span) for name, span in run.fitted.series.items()},
        shared_times=times.n_shared,
        key_changes=sum(max(of_split.n_runs - 1, 0) for of_split in totals.runs.values()),
        nonfinite={c.name: c.n_nonfinite for c in fitted.columns if c.n_nonfinite and job.fits},
        clipped=dict(totals.clipped["featurize"]) if job.publishes_rows else {},
        created_by=_user_and_host(),
        keep_versions=run.sink.keep_versions,
    )


def in_few_words(numbers: Sequence[int]) -> str:
    """Return rising numbers as ranges.

    Examples
    --------
    >>> in_few_words([0, 1, 2, 5, 7, 8])
    '0-2,5,7-8'
    """
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in as_ranges(numbers))


def _user_and_host() -> str:
    try:
        return f"{getuser()}@{node()}"
    except (OSError, KeyError):  # a container's user that has no name
        return node()


def _window_counts(stride: str, pca: WindowPCA, totals: Totals, run: Run) -> WindowCounts:
    counted = {split: totals.windows[stride][split] for split in run.plan.splits}
    return WindowCounts(
        windows=counted if run.plan.spec.job.publishes_rows else {"train": pca.n_windows},
        components=pca.n_components,
        explained_variance_ratio=tuple(pca.explained_variance_ratio.tolist()),
        applied_explained=totals.explained[stride].share,
        clipped=totals.clipped["project"][stride],
    )


def _series_of(span: SeriesSpan) -> dict[str, int]:
    return {"series": span.n_series, "shorter_than_window": span.n_shorter_than_window, "longest": span.longest}


def _in_ranges(chunks: Mapping[str, Sequence[int]]) -> dict[str, str]:
    return {worker: in_few_words(numbers) for worker, numbers in chunks.items()}


def _schema_of(store: Store, file: FileRecord) -> dict[str, str]:
    with store.open_checked(file) as handle:
        schema = own_schema(pq.read_schema(handle))
    return {field.name: str(field.type) for field in schema}
