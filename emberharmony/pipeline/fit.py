"""What is fitted between the passes, from the chunks' small states."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from emberharmony.features.preprocessing import Preprocessing, fit_preprocessing
from emberharmony.features.profile import ColumnProfile
from emberharmony.io.parts import block_of, feature_part, read_part
from emberharmony.io.store import prefixed
from emberharmony.pca import WindowPCA
from emberharmony.pipeline.chunk import grams_name, profile_name, state_pays
from emberharmony.pipeline.plan import check_split_sizes
from emberharmony.pipeline.run import Receipt, Run
from emberharmony.splits import SPLITS
from emberharmony.stats.categories import CategoryCounts
from emberharmony.stats.window_gram import WindowGram
from emberharmony.typing import FeatureBlock


def fit_features(run: Run) -> Preprocessing:
    """Merge the chunks' profiles and fit the preprocessing; leaves it, and the split's row counts, in the store.

    Raises
    ------
    DataError, PlanError
        If no feature can be made, or a split is smaller than one window.
    """
    rows = np.array([[receipt.rows[name] for name in SPLITS] for receipt in run.receipts("profile")], np.int64)
    check_split_sizes(dict(zip(SPLITS, rows.sum(axis=0).tolist(), strict=True)), run.spec)
    run.store.write_arrays("split-rows.safetensors", {"rows": rows})
    columns = run.roles.features
    profiles = {column.name: _merged_profile(run, i) for i, column in enumerate(columns)}
    position = {column.name: i for i, column in enumerate(columns)}
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
    run.store.write_json("state/preprocessing.json", fitted.to_json())
    return fitted


def fit_pcas(run: Run) -> dict[int, WindowPCA]:
    """Merge the chunks' window states in order and fit one PCA for each stride; leaves them in the store."""
    merged: list[WindowGram] = []
    for states in _window_states(run):
        merged = [a.merge(b) for a, b in zip(merged, states, strict=True)] if merged else states
    pcas = {state.stride: WindowPCA.fit(state, run.spec.pca) for state in merged}
    run.store.write_arrays("state/pca.safetensors", prefixed({str(s): pca.to_arrays() for s, pca in pcas.items()}))
    return pcas


def _merged_profile(run: Run, column: int) -> ColumnProfile:
    """One column's profile over all chunks; its categories, which may be many, stay where they are."""
    merged = ColumnProfile.empty()
    for chunk in run.chunks:
        arrays = dict(run.store.read_arrays(profile_name(chunk.index), prefix=f"{column}/"))
        arrays |= {f"categories.{key}": array for key, array in CategoryCounts.empty().to_arrays().items()}
        merged = merged.merge(ColumnProfile.from_arrays(arrays))
    return merged


def _category_states(run: Run, column: int) -> Iterator[CategoryCounts]:
    for chunk in run.chunks:
        yield CategoryCounts.from_arrays(
            run.store.read_arrays(profile_name(chunk.index), prefix=f"{column}/categories.")
        )


def _window_states(run: Run) -> Iterator[list[WindowGram]]:
    """Window states of the training series, in order and adjoining.

    Chunks that were too short to be worth matrices are joined again until they are.
    """
    rows: list[FeatureBlock] = []
    start = 0
    for receipt in run.receipts("featurize"):
        if not receipt.rows["train"]:
            continue
        if any(file.name == grams_name(receipt.chunk) for file in receipt.files):
            if rows:
                yield _states_of(run, rows, start)
            rows = []
            stored = grams_name(receipt.chunk)
            strides = run.spec.windows.strides
            yield [WindowGram.from_arrays(run.store.read_arrays(stored, prefix=f"{s}/")) for s in strides]
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
