"""The manifest of a run: its receipts, each read once and folded chunk by chunk."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
from emberharmony.pipeline.fitted import FIT, FIT_PCA
from emberharmony.pipeline.receipts import Receipt
from emberharmony.pipeline.run import Run
from emberharmony.pipeline.state_comparison import compared_with_earlier
from emberharmony.planning.chunks import as_ranges
from emberharmony.stats.explained import ExplainedSquares
from emberharmony.stats.runs import Runs, merged_runs
from emberharmony.stats.series_span import SeriesSpan
from emberharmony.version import VERSION


@dataclass
class Totals:
    """Sums over the receipts of a run. Memory grows with its files alone, which the manifest lists."""

    publishes: Sequence[str]
    """Folders of the result."""
    files: list[FileRecord] = field(default_factory=list)
    backends: Counter[str] = field(default_factory=Counter)
    computed: dict[str, dict[str, list[int]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    """Chunks by stage, and by backend and host."""
    parity: list[float] = field(default_factory=list)
    left_out: int = 0
    context: Counter[str] = field(default_factory=Counter)
    """Rows from before the slice, and series that have too few of them."""
    runs: dict[str, Runs] = field(default_factory=dict)
    windows: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Windows by stride and split."""
    explained: dict[str, ExplainedSquares] = field(default_factory=lambda: defaultdict(ExplainedSquares))
    clipped: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Clipped values by stage: of columns in featurize, of strides in project."""

    def add(self, receipt: Receipt) -> None:
        """Add the receipt of a chunk's stage."""
        self.add_files(receipt)
        self.backends[receipt.backend] += 1
        self.computed[receipt.stage][f"{receipt.backend} on {receipt.host}"].append(receipt.chunk)
        self.clipped[receipt.stage].update(receipt.clipped)
        self.context.update(rows=receipt.context, short=receipt.short_contexts)
        self.runs = merged_runs(self.runs, receipt.runs)
        if receipt.parity is not None:
            self.parity.append(receipt.parity)
        for stride, squares in receipt.explained.items():
            self.explained[stride] = self.explained[stride].merge(squares)

    def add_files(self, receipt: Receipt) -> None:
        """Add the published files of a receipt."""
        self.files.extend(file for file in receipt.files if file.name.split("/")[0] in self.publishes)

    def add_rows(self, profiled: Receipt) -> None:
        """Add the rows that a profiled chunk has in no split."""
        self.left_out += profiled.left_out

    def add_windows(self, projected: Receipt) -> None:
        """Add the windows of a projected chunk."""
        for key, n_windows in projected.rows.items():
            stride, split = key.split("/")
            self.windows[stride][split] += n_windows


def manifest_of(run: Run, chunk_stages: Sequence[str]) -> Manifest:
    """Return the manifest of a run whose stages are done.

    Parameters
    ----------
    run : Run
        The run.
    chunk_stages : sequence of str
        Names of the stages that every chunk has gone through.

    Raises
    ------
    DamagedError
        If a file that it reads is missing or was changed.
    """
    spec, job, fitted = run.plan.spec, run.plan.spec.job, run.fitted.preprocessing
    totals = _totals(run, chunk_stages)
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
        computed=_in_ranges(totals.computed),
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


def _totals(run: Run, chunk_stages: Sequence[str]) -> Totals:
    totals = Totals(run.plan.spec.job.publishes)
    more = {"profile": totals.add_rows, "project": totals.add_windows}
    for stage in chunk_stages:
        for receipt in run.receipts.all_of(stage):
            totals.add(receipt)
            if stage in more:
                more[stage](receipt)
    for stage in (FIT, FIT_PCA):
        fitted = run.receipts.find(stage, 0)
        if fitted is not None:
            totals.add_files(fitted)
    return totals


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


def _in_ranges(computed: Mapping[str, Mapping[str, Sequence[int]]]) -> dict[str, dict[str, str]]:
    return {stage: {who: in_few_words(chunks) for who, chunks in by.items()} for stage, by in computed.items()}


def _schema_of(store: Store, file: FileRecord) -> dict[str, str]:
    store.check(file)
    with store.open(file) as handle:
        schema = own_schema(pq.read_schema(handle))
    return {field.name: str(field.type) for field in schema}
