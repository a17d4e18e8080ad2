"""Stages that fit: they merge the states of all chunks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import tee

import numpy as np
import pyarrow as pa

from emberharmony.features.preprocessing import fit_preprocessing
from emberharmony.features.profile import ColumnProfile, ProfileSum
from emberharmony.io.parts import block_of, feature_part, read_part
from emberharmony.io.store.base import FileRecord, by_prefix, prefixed
from emberharmony.pca import WindowPCA
from emberharmony.pipeline.chunk_stages import categories_name, grams_name, profile_name
from emberharmony.pipeline.fitted import FIT, FIT_PCA, PCAS, SPLIT_ROWS
from emberharmony.pipeline.receipts import Receipt
from emberharmony.pipeline.run import Run
from emberharmony.pipeline.split_checks import check_neighbours, check_series, check_split_sizes
from emberharmony.pipeline.state import write_state
from emberharmony.pipeline.vocabulary import categorical_columns
from emberharmony.series import Segment, joined
from emberharmony.splits import SPLITS
from emberharmony.stats.categories import CategoryCounts, TopCategories, top_categories
from emberharmony.stats.runs import Runs, merged_runs
from emberharmony.stats.series_span import SeriesSpan
from emberharmony.stats.window_gram import WindowGram, merge_segments
from emberharmony.steps.featurize import state_pays, window_states


def fit_features(run: Run, backend: str) -> Receipt:
    """Merge the chunks' profiles and fit the preprocessing; writes it and the row counts of every split.

    Raises
    ------
    DataError, PlanError
        If no feature can be made, or a split is smaller than one window.
    """
    began = time.perf_counter()
    counted, files, keys = list[list[int]](), dict[str, FileRecord](), dict[str, Runs]()
    spans = list[Mapping[str, SeriesSpan]]()
    for receipt in run.receipts.all_of("profile"):
        counted.append([receipt.rows[name] for name in SPLITS])
        files |= {file.name: file for file in receipt.files}
        keys = merged_runs(keys, receipt.runs)
        spans.append(receipt.series)
    for _ in run.store.each(run.store.check, files.values()):
        pass
    rows = np.array(counted, np.int64)
    check_split_sizes(dict(zip(SPLITS, rows.sum(axis=0).tolist(), strict=True)), run.plan.spec)
    check_neighbours(keys, run.plan.spec)
    arrays, series = {"rows": rows}, dict[str, SeriesSpan]()
    if any(spans):
        arrays["starts"], series = run.plan.order.joined(spans, SPLITS)
    check_series(series, run.plan.spec)
    profiles = _merged_profiles(run, files)
    spec = run.plan.spec
    categories = _top_categories(run, files)
    threshold = spec.columns.high_null_threshold
    fitted = fit_preprocessing(run.plan.roles, profiles, categories, spec.features, high_null_threshold=threshold)
    if run.plan.spec.job.publishes_rows:
        run.sink.check_features(fitted.feature_names, run.published_columns)
    fitted = replace(fitted, schema=pa.schema([run.plan.schema.field(column.name) for column in fitted.columns]))
    counts = run.store.keep_arrays(SPLIT_ROWS, arrays)
    written = counts, *write_state(run, fitted, profiles, categories)
    return Receipt(FIT, 0, {}, written, backend, time.perf_counter() - began, series=series)


def fit_pcas(run: Run, backend: str) -> Receipt:
    """Merge the chunks' Gram states in order, and fit and write one PCA for each stride."""
    began = time.perf_counter()
    merged = merge_segments(_window_states(run) if run.plan.spec.windows.strides else ())
    pcas = {state.stride: WindowPCA.fit(state, run.plan.spec.pca) for state in merged}
    file = run.store.keep_arrays(PCAS, prefixed({str(s): pca.to_arrays() for s, pca in pcas.items()}))
    return Receipt(FIT_PCA, 0, {}, (file,), backend, time.perf_counter() - began)


def _merged_profiles(run: Run, files: Mapping[str, FileRecord]) -> dict[str, ColumnProfile]:
    """Profile of every column over all chunks, without its categories: there may be too many to hold."""
    sums = {column.name: ProfileSum() for column in run.plan.roles.features}
    records = (files[profile_name(chunk.index)] for chunk in run.plan.chunks)
    for arrays in run.store.each(run.store.read_arrays, records):
        states = by_prefix(arrays)
        for i, total in enumerate(sums.values()):
            total.add(ColumnProfile.from_arrays(states[str(i)]))
    return {name: total.profile() for name, total in sums.items()}


def _top_categories(run: Run, files: Mapping[str, FileRecord]) -> dict[str, TopCategories]:
    """Most frequent training values of the columns of categories; each pass reads each chunk's file once, for all columns."""
    position = {column.name: str(i) for i, column in enumerate(run.plan.roles.features)}
    columns = categorical_columns(run.plan.roles, run.plan.spec.features)

    def chunks() -> Iterator[dict[str, CategoryCounts]]:
        records = (files[categories_name(chunk.index)] for chunk in (run.plan.chunks if columns else ()))
        for arrays in run.store.each(run.store.read_arrays, records):
            states = by_prefix(arrays)
            yield {name: CategoryCounts.from_arrays(states[position[name]]) for name in columns}

    return top_categories(chunks, columns, run.plan.spec.categories.max_categories)


def _window_states(run: Run) -> Iterator[list[WindowGram]]:
    """Gram states of consecutive segments of the training rows, in order.

    Chunks that were too short to be worth matrices are joined again until they are.
    """
    windows, n_features = run.plan.spec.windows, len(run.fitted.preprocessing.feature_names)
    waiting: list[Segment] = []
    receipts, ahead = tee(receipt for receipt in run.receipts.all_of("featurize") if receipt.rows["train"])
    kept = (receipt.find(grams_name(receipt.chunk)) for receipt in ahead)
    states = run.store.each(run.store.read_checked_arrays, filter(None, kept))
    for receipt in receipts:
        if receipt.find(grams_name(receipt.chunk)):
            if waiting:
                yield window_states(joined(waiting), windows)
            waiting = []
            by_stride = by_prefix(next(states))
            yield [WindowGram.from_arrays(by_stride[str(s)]) for s in windows.strides]
            continue
        waiting.append(_train_segment(run, receipt))
        if state_pays(sum(segment.block.nbytes for segment in waiting), windows, n_features):
            yield window_states(joined(waiting), windows)
            waiting = []
    if waiting:
        yield window_states(joined(waiting), windows)


def _train_segment(run: Run, receipt: Receipt) -> Segment:
    record = run.receipts.file("featurize", receipt.chunk, feature_part("train", receipt.chunk))
    names = run.fitted.preprocessing.feature_names
    start = int(run.fitted.series_starts[receipt.chunk, 0])
    order = run.plan.order
    rows = read_part(run.store, record, [*(order.columns if order.makes_series else ()), *names])
    return Segment(start, block_of(rows, names), borders=order.borders(rows))
