"""Stages that fit: they merge the states of all chunks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from emberharmony.features.preprocessing import fit_preprocessing
from emberharmony.io.store.arrays import by_prefix, prefixed
from emberharmony.io.store.base import FileRecord
from emberharmony.pca import WindowPCA
from emberharmony.pipeline.fitted import FIT, FIT_PCA, PCAS, SPLIT_ROWS
from emberharmony.pipeline.gram_segments import merged_states
from emberharmony.pipeline.merge import merged_profiles, top_grams, top_profiles
from emberharmony.pipeline.receipts import Receipt
from emberharmony.pipeline.run import Run
from emberharmony.pipeline.split_checks import check_neighbours, check_series, check_split_sizes
from emberharmony.pipeline.state import write_state
from emberharmony.pipeline.vocabulary import categorical_columns
from emberharmony.splits import SPLITS
from emberharmony.stats.categories import CategoryCounts, TopCategories, top_categories
from emberharmony.stats.runs import Runs, merged_runs
from emberharmony.stats.series_span import SeriesSpan


def fit_features(run: Run, backend: str) -> Receipt:
    """Merge the profiles that are left and fit the preprocessing; writes it and the row counts of every split.

    Raises
    ------
    DataError, PlanError
        If no feature can be made, or a split is smaller than one window.
    """
    began = time.perf_counter()
    counted, files, keys = list[list[int]](), list[FileRecord](), dict[str, Runs]()
    spans = list[Mapping[str, SeriesSpan]]()
    for receipt in run.receipts.all_of("profile"):
        counted.append([receipt.rows[name] for name in SPLITS])
        files += receipt.files
        keys = merged_runs(keys, receipt.runs)
        spans.append(receipt.series)
    rows = np.array(counted, np.int64)
    check_split_sizes(dict(zip(SPLITS, rows.sum(axis=0).tolist(), strict=True)), run.plan.spec)
    check_neighbours(keys, run.plan.spec)
    arrays, series = {"rows": rows}, dict[str, SeriesSpan]()
    if any(spans):
        arrays["starts"], series = run.plan.order.joined(spans, SPLITS)
    check_series(series, run.plan.spec)
    left = top_profiles(run, files)
    profiles = dict(zip([column.name for column in run.plan.roles.features], merged_profiles(run, left), strict=True))
    spec = run.plan.spec
    categories = _top_categories(run, left.categories)
    threshold = spec.columns.high_null_threshold
    fitted = fit_preprocessing(run.plan.roles, profiles, categories, spec.features, high_null_threshold=threshold)
    if run.plan.spec.job.publishes_rows:
        run.sink.check_features(fitted.feature_names, run.published_columns)
    fitted = replace(fitted, schema=pa.schema([run.plan.schema.field(column.name) for column in fitted.columns]))
    counts = run.store.keep_arrays(SPLIT_ROWS, arrays)
    written = counts, *write_state(run, fitted, profiles, categories)
    return Receipt(FIT, 0, {}, written, backend, time.perf_counter() - began, series=series)


def fit_pcas(run: Run, backend: str) -> Receipt:
    """Merge the Gram states that are left, in order, and fit and write one PCA for each stride."""
    began = time.perf_counter()
    windows, pcas = run.plan.spec.windows, dict[int, WindowPCA]()
    if windows.strides:
        for state in merged_states(run.store, top_grams(run), windows, n_features=len(run.fitted.preprocessing.feature_names)):
            pcas[state.stride] = WindowPCA.fit(state, run.plan.spec.pca)
            del state  # before the next one is merged
    file = run.store.keep_arrays(PCAS, prefixed({str(s): pca.to_arrays() for s, pca in pcas.items()}))
    return Receipt(FIT_PCA, 0, {}, (file,), backend, time.perf_counter() - began)


def _top_categories(run: Run, files: Sequence[FileRecord]) -> dict[str, TopCategories]:
    """Most frequent training values of the columns of categories; each pass reads each file once, for all columns."""
    position = {column.name: str(i) for i, column in enumerate(run.plan.roles.features)}
    columns = categorical_columns(run.plan.roles, run.plan.spec.features)

    def chunks() -> Iterator[dict[str, CategoryCounts]]:
        for arrays in run.store.each(run.store.read_arrays, files if columns else ()):
            states = by_prefix(arrays)
            yield {name: CategoryCounts.from_arrays(states[position[name]]) for name in columns}

    return top_categories(chunks, columns, run.plan.spec.categories.max_categories)
