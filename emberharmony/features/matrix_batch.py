"""Batches of features from the user's hands, as matrices of finite numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberharmony.errors import DataError
from emberharmony.messages import listed
from emberharmony.ops.convert import to_numpy
from emberharmony.typing import FeatureBlock, FloatArray

COPY_ROWS = 65_536
"""Rows that are looked at or copied at a time."""


@dataclass(frozen=True)
class MatrixBatch:
    """A batch as a matrix of shape ``(n_rows, n_features)``, and its columns' names if it has some."""

    values: NDArray[Any]
    names: tuple[str, ...] | None

    @classmethod
    def of(cls, batch: Any, number: int, names: tuple[str, ...] | None) -> MatrixBatch:
        """Return the batch of that number as a matrix of finite numbers; `names` are those of the batches before it.

        Raises
        ------
        DataError
            If it is none; the message names batch and column.
        """
        found = _names(batch)
        if names and found and names != found:
            raise DataError(f"Batch {number} has the columns {listed(found)}; the ones before it have {listed(names)}.")
        values = to_numpy(batch)
        if values.ndim == 1:
            values = values[:, None]
        if values.ndim != 2 or values.dtype.kind == "c":
            raise DataError(
                f"Batch {number} is {values.dtype} of shape {values.shape}; rows x features of real numbers are needed."
            )
        for begin in range(0, len(values), COPY_ROWS):
            finite = np.isfinite(values[begin : begin + COPY_ROWS]).all(axis=0)
            if not finite.all():
                column = int(np.argmin(finite))
                raise DataError(
                    f"Batch {number} has missing or infinite values in column {found[column] if found else column}; fill them "
                    f"first, as TerabyteFeatureExtractor.prepare_data does."
                )
        return cls(values, found)

    def check_width(self, n_features: int, number: int) -> None:
        """Refuse another number of columns than the batches before had."""
        if self.values.shape[1] != n_features:
            raise DataError(f"Batch {number} has {self.values.shape[1]} columns; the ones before it have {n_features}.")

    def blocks(self, shift: FloatArray, n_rows: int) -> Iterator[FeatureBlock]:
        """Yield the rows less `shift`, so many at a time, as float32 blocks of shape ``(n_features, n_rows)``."""
        for begin in range(0, len(self.values), n_rows):
            yield np.ascontiguousarray((self.values[begin : begin + n_rows] - shift).astype(np.float32).T)


def _names(batch: Any) -> tuple[str, ...] | None:
    """Columns' names of pandas and polars frames and Arrow tables."""
    names = getattr(batch, "column_names", None)
    if names is None and hasattr(batch, "dtypes"):
        names = getattr(batch, "columns", None)
    return None if names is None else tuple(map(str, names))
