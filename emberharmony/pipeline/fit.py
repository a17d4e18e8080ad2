"""What is fitted between the passes, from the chunks' small states."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np

from emberharmony.features.preprocessing import Preprocessing, fit_preprocessing
from emberharmony.features.profile import ColumnProfile
from emberharmony.io.parts import block_of, feature_part, read_part
from emberharmony.io.store import by_prefix, prefixed
from emberharmony.pca import WindowPCA
from emberharmony.pipeline.chunk import categories_name, grams_name, profile_name, state_pays
from emberharmony.pipeline.plan import check_split_sizes
from emberharmony.pipeline.run import Receipt, Run
from emberharmony.pipeline.state import write_state
from emberharmony.splits import SPLITS
from emberharmony.stats.categories import CategoryCounts
from emberharmony.stats.window_gram import WindowGram
from emberharmony.typing import FeatureBlock

FIT, FIT_PCA = "fit", "fit-pca"
"""Stages of the whole job rather than of a chunk; their receipts are those of chunk 0."""


def fit_features(run: Run, backend: str) -> Preprocessing:
    """Merge the chunks' profiles and fit the preprocessing; leaves it, and the split's row counts, in the store.

    What was fitted is not fitted again: another machine's last bits could differ from those that chunks were made with.

    Raises
    ------
    DataError, PlanError
        If no feature can be made, or a split is smaller than one window.
    """
    if run.committed(FIT, 0):
        return run.preprocessing
    began = time.perf_counter()
    for receipt in run.receipts("profile"):
        run.check(receipt)
    rows = np.array([[receipt.rows[name] for name in SPLITS] for receipt in run.receipts("profile")], np.int64)
    check_split_sizes(dict(zip(SPLITS, rows.sum(axis=0).tolist(), strict=True)), run.spec)
    counts = run.store.write_arrays("split-rows.safetensors", {"rows": rows})
    profiles = _merged_profiles(run)
    position = {column.name: i for i, column in enumerate(run.roles.features)}
    spec = run.spec
    fitted = fit_preprocessing(
        run.roles,
        profiles,
        lambda name: _category_states(run, position[name]),
        cycles=spec.datetime,
        categories=spec.categories,
        numbers=spec.numbers,
        high_null_threshold=spec.columns.high_null_threshold,
    )
    files = counts, *write_state(run, fitted, profiles, lambda name: _category_states(run, position[name]))
    run.commit(Receipt(FIT, 0, {}, files, backend, time.perf_counter() - began))
    return fitted


def fit_pcas(run: Run, backend: str) -> dict[int, WindowPCA]:
    """Merge the chunks' window states in order and fit one PCA for each stride, if any; leaves them in the store."""
    if run.committed(FIT_PCA, 0):
        return run.pcas
    began = time.perf_counter()
    merged: list[WindowGram] = []
    for states in _window_states(run) if run.spec.windows.strides else ():
        merged = [a.merge(b) for a, b in zip(merged, states, strict=True)] if merged else states
    pcas = {state.stride: WindowPCA.fit(state, run.spec.pca) for state in merged}
    file = run.store.write_arrays("state/pca.safetensors", prefixed({str(s): pca.to_arrays() for s, pca in pcas.items()}))
    run.commit(Receipt(FIT_PCA, 0, {}, (file,), backend, time.perf_counter() - began))
    return pcas


def _merged_profiles(run: Run) -> dict[str, ColumnProfile]:
    """Every column's profile over all chunks; the categories, which may be many, stay where they are."""
    merged = [ColumnProfile.empty() for _ in run.roles.features]
    for chunk in run.chunks:
        states = by_prefix(run.store.read_arrays(profile_name(chunk.index)))
        merged = [profile.merge(ColumnProfile.from_arrays(states[str(i)])) for i, profile in enumerate(merged)]
    return dict(zip((column.name for column in run.roles.features), merged, strict=True))


def _category_states(run: Run, column: int) -> Iterator[CategoryCounts]:
    for chunk in run.chunks:
        yield CategoryCounts.from_arrays(run.store.read_arrays(categories_name(chunk.index), prefix=f"{column}/"))


def _window_states(run: Run) -> Iterator[list[WindowGram]]:
    """Window states of the training series, in order and adjoining.

    Chunks that were too short to be worth matrices are joined again until they are.
    """
    rows: list[FeatureBlock] = []
    start = 0
    for receipt in run.receipts("featurize"):
        if not receipt.rows["train"]:
            continue
        state = next((file for file in receipt.files if file.name == grams_name(receipt.chunk)), None)
        if state:
            run.store.check(state)
            if rows:
                yield _states_of(run, rows, start)
            rows = []
            strides = run.spec.windows.strides
            yield [WindowGram.from_arrays(run.store.read_arrays(state.name, prefix=f"{s}/")) for s in strides]
            continue
        if not rows:
            start = int(run.series_starts[receipt.chunk, 0])
        rows.append(_train_block(run, receipt))
        if state_pays(run, sum(block.nbytes for block in rows)):
            yield _states_of(run, rows, start)
            rows = []
    if rows:
        yield _states_of(run, rows, start)


def _states_of(run: Run, rows: Sequence[FeatureBlock], start: int) -> list[WindowGram]:
    windows = run.spec.windows
    return WindowGram.of_strides(np.concatenate(rows, axis=1), start=start, size=windows.size, strides=windows.strides)


def _train_block(run: Run, receipt: Receipt) -> FeatureBlock:
    name = feature_part("train", receipt.chunk)
    record = next(file for file in receipt.files if file.name == name)
    names = run.preprocessing.feature_names
    return block_of(read_part(run.store, record, names), names)
