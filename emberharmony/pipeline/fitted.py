"""What was fitted in a run, read from its store when first asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from emberharmony.features.drift import Baseline, ColumnCounts
from emberharmony.features.preprocessing import Preprocessing
from emberharmony.io.store.arrays import by_prefix
from emberharmony.io.store.base import Store
from emberharmony.pca import WindowPCA
from emberharmony.pipeline.receipts import Receipt, Receipts
from emberharmony.stats.series_span import SeriesSpan
from emberharmony.steps.context import SLICE
from emberharmony.steps.order import JobOrder
from emberharmony.typing import Arrays, IntArray

FIT, FIT_PCA = "fit", "fit-pca"
"""Names of the stages that fit; their receipts are those of chunk 0."""
SPLIT_ROWS = "split-rows.safetensors"
PREPROCESSING = "state/preprocessing.json"
BASELINE = "state/baseline.json"
PCAS = "state/pca.safetensors"


def drift_name(chunk: int) -> str:
    """Name of a chunk's counts of the columns that a state is applied to."""
    return f"drift/{chunk:05}.safetensors"


@dataclass(frozen=True)
class Fitted:
    """The fitted numbers of a run, whether it has fitted them or applies a state."""

    store: Store
    receipts: Receipts
    strides: tuple[int, ...]
    splits: tuple[str, ...]
    order: JobOrder

    @cached_property
    def split_rows(self) -> IntArray:
        """Rows of every chunk in every split; shape ``(n_chunks, n_splits)``."""
        return self._counted["rows"]

    @cached_property
    def rows(self) -> dict[str, int]:
        """Rows of every split."""
        return dict(zip(self.splits, self.split_rows.sum(axis=0).tolist(), strict=True))

    @cached_property
    def first_chunks(self) -> dict[str, int]:
        """Index of the first chunk with rows of each split; 0 if none has."""
        return dict(zip(self.splits, (self.split_rows > 0).argmax(axis=0).tolist(), strict=True))

    @cached_property
    def series_starts(self) -> IntArray:
        """Number, in its series, of every chunk's first row of every split; shape ``(n_chunks, n_splits)``."""
        if self.order.makes_series:
            return self._counted["starts"] if "starts" in self._counted else self._applied[0]
        return np.cumsum(self.split_rows, axis=0) - self.split_rows

    @cached_property
    def series(self) -> dict[str, SeriesSpan]:
        """The series of every split, in a job of many series."""
        if not self.order.makes_series or not self.strides:
            return {}
        return dict(self._fit.series) or self._applied[1]

    @cached_property
    def _fit(self) -> Receipt:
        """Of the stage that fits the features, or of the state that is applied."""
        return self.receipts.of(FIT, 0)

    @cached_property
    def _counted(self) -> Arrays:
        return self.store.read_arrays(self._fit.record(SPLIT_ROWS))

    @cached_property
    def _applied(self) -> tuple[IntArray, dict[str, SeriesSpan]]:
        """Starts and series of rows that a state is applied to: no profile has counted them, but featurize has."""
        return self.order.joined((receipt.series for receipt in self.receipts.all_of("featurize")), self.splits)

    @cached_property
    def slice_starts(self) -> IntArray:
        """Number, among the rows of its series in the slice, of every chunk's first such row; shape ``(n_chunks,)``."""
        receipts = list(self.receipts.all_of("featurize"))
        if self.order.makes_series:
            return np.asarray(self.order.joined((receipt.series for receipt in receipts), (SLICE,))[0][:, 0], np.int64)
        rows = self.split_rows[:, 0] - np.array([receipt.context for receipt in receipts], np.int64)
        starts: IntArray = np.cumsum(rows) - rows
        return starts

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """The fitted preprocessing."""
        return Preprocessing.from_json(self.store.read_json(self._fit.record(PREPROCESSING)))

    @cached_property
    def pcas(self) -> dict[int, WindowPCA]:
        """The fitted PCA of every stride."""
        record = self._fit.find(PCAS) or self.receipts.of(FIT_PCA, 0).record(PCAS)  # that of an applied state names both
        of_stride = by_prefix(self.store.read_arrays(record))
        return {stride: WindowPCA.from_arrays(of_stride[str(stride)]) for stride in self.strides}

    @cached_property
    def baselines(self) -> dict[str, Baseline]:
        """Counts of the training rows of every fitted column."""
        fitted = self.store.read_json(self._fit.record(BASELINE))
        return {name: Baseline.from_json(data) for name, data in fitted.items()}

    @cached_property
    def applied_counts(self) -> dict[str, ColumnCounts]:
        """Counts of the rows that a state is applied to, by column. Reads each chunk's counts once.

        Raises
        ------
        DamagedError
            If a chunk's counts are missing or were changed.
        """
        names = [column.name for column in self.preprocessing.columns]
        merged = list[ColumnCounts]()
        receipts = self.receipts.all_of("featurize")
        kept = (receipt.record(drift_name(receipt.chunk)) for receipt in receipts)
        for arrays in self.store.each(self.store.read_checked_arrays, kept):
            states = by_prefix(arrays)
            counts = [ColumnCounts.from_arrays(states[str(i)]) for i in range(len(names))]
            merged = [a.merge(b) for a, b in zip(merged, counts, strict=True)] if merged else counts
        return dict(zip(names, merged, strict=True))
