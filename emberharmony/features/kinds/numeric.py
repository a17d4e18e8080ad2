"""Numbers: median imputation and standard scaling, fitted from mergeable states."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from emberharmony import ops
from emberharmony.backend import select
from emberharmony.stats.moments import Moments
from emberharmony.stats.rows import LARGEST_FLOAT32
from emberharmony.typing import FeatureBlock, FloatArray


@dataclass(frozen=True)
class Scaling:
    """A fitted column of numbers: missing ones become `fill`, then ``(x - mean) / scale``.

    Mean and scale are those of the column after imputation, as they are when scikit-learn's imputer is followed by its scaler.

    Examples
    --------
    >>> scaling = Scaling.fit(Moments.of(np.array([1.0, 3.0])), median=2.0, n_missing=2)
    >>> scaling.mean, round(scaling.scale, 6)
    (2.0, 0.707107)
    """

    fill: float
    mean: float
    scale: float

    @classmethod
    def fit(cls, moments: Moments, *, median: float, n_missing: int) -> Self:
        """Fit on the training rows: moments and median of the finite ones, and how many are missing."""
        filled = moments.merge(Moments(n_missing, median, 0.0, median, median))
        return cls(median, filled.mean, math.sqrt(filled.variance) or 1.0)

    @classmethod
    def unscaled(cls, fill: float) -> Self:
        """Impute and leave as it is."""
        return cls(fill, 0.0, 1.0)


def numbers(column: pa.Array | pa.ChunkedArray) -> FloatArray:
    """A numeric or boolean column as float64 of shape ``(n_rows,)``, with NaN for null."""
    if pt.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pt.is_boolean(column.type):
        column = column.cast(pa.int8())
    values = column.cast(pa.float64(), safe=False)
    floats: FloatArray = values.to_numpy(zero_copy_only=False)  # nulls become NaN
    return floats


def scale(x: FloatArray, scaling: Scaling) -> FeatureBlock:
    """Impute and scale on the current backend; shape ``(1, n_rows)``.

    The arithmetic is in float64 and cast last: 1e9 + 0.5 has no half in float32. What lies beyond float32 is clipped to its
    largest number, see `count_clipped`.

    Examples
    --------
    >>> scale(np.array([1.0, np.nan, np.inf]), Scaling(fill=2.0, mean=1.0, scale=0.5)).tolist()
    [[0.0, 2.0, 2.0]]
    """
    if not select().float64:
        return _scale_on_host(x, scaling)
    values = ops.asarray(x)
    values = ops.where(ops.isfinite(values), values, scaling.fill)
    with np.errstate(over="ignore"):  # an infinity is clipped like all that is too large
        scaled = (values - scaling.mean) * (1.0 / scaling.scale)
    return ops.astype(ops.clip(scaled, -LARGEST_FLOAT32, LARGEST_FLOAT32), ops.float32).numpy()[None, :]


def _scale_on_host(x: FloatArray, scaling: Scaling) -> FeatureBlock:
    # A device without float64 cannot hold 1e9 + 0.5: the one step that needs it stays with the host.
    filled = np.where(np.isfinite(x), x, scaling.fill)
    with np.errstate(over="ignore"):
        scaled = (filled - scaling.mean) * (1.0 / scaling.scale)
    return np.clip(scaled, -LARGEST_FLOAT32, LARGEST_FLOAT32).astype(np.float32)[None, :]


def count_clipped(block: FeatureBlock, /) -> int:
    """Count the values that were clipped: those at the limits of float32.

    Examples
    --------
    >>> count_clipped(scale(np.array([1.0, -1e300, 1e300]), Scaling(fill=0.0, mean=0.0, scale=1e-3)))
    2
    """
    if not block.size or max(block.max(), -block.min()) < np.float32(LARGEST_FLOAT32):
        return 0
    return int((np.abs(block) >= np.float32(LARGEST_FLOAT32)).sum())
