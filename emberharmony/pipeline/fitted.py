"""What was fitted in a run, read from its store when first asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from emberharmony.features.drift import Baseline
from emberharmony.features.preprocessing import Preprocessing
from emberharmony.io.store.base import FileRecord, Store
from emberharmony.pca import WindowPCA
from emberharmony.pipeline.receipts import Receipts
from emberharmony.typing import IntArray

FIT, FIT_PCA = "fit", "fit-pca"
"""Names of the stages that fit; their receipts are those of chunk 0."""
SPLIT_ROWS = "split-rows.safetensors"
PREPROCESSING = "state/preprocessing.json"
BASELINE = "state/baseline.json"
PCAS = "state/pca.safetensors"


@dataclass(frozen=True)
class Fitted:
    """The fitted numbers of a run, whether it has fitted them or applies a state."""

    store: Store
    receipts: Receipts
    strides: tuple[int, ...]

    @cached_property
    def split_rows(self) -> IntArray:
        """Rows of every chunk in every split; shape ``(n_chunks, n_splits)``."""
        rows: IntArray = self.store.read_arrays(self.receipts.file(FIT, 0, SPLIT_ROWS))["rows"]
        return rows

    @cached_property
    def series_starts(self) -> IntArray:
        """Number of every chunk's first row in its split's series; the last line holds the totals."""
        return np.concatenate([np.zeros((1, self.split_rows.shape[1]), np.int64), np.cumsum(self.split_rows, axis=0)])

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """The fitted preprocessing."""
        return Preprocessing.from_json(self.store.read_json(self.receipts.file(FIT, 0, PREPROCESSING)))

    @cached_property
    def pcas(self) -> dict[int, WindowPCA]:
        """The fitted PCA of every stride."""
        file = self._pca_file()
        return {s: WindowPCA.from_arrays(self.store.read_arrays(file, prefix=f"{s}/")) for s in self.strides}

    @cached_property
    def baselines(self) -> dict[str, Baseline]:
        """Counts of the training rows of every fitted column."""
        fitted = self.store.read_json(self.receipts.file(FIT, 0, BASELINE))
        return {name: Baseline.from_json(data) for name, data in fitted.items()}

    def _pca_file(self) -> FileRecord:
        """The file of the stage that fits, or of the state that is applied."""
        applied = self.receipts.find(FIT, 0)
        record = applied.find(PCAS) if applied else None
        return record or self.receipts.file(FIT_PCA, 0, PCAS)
