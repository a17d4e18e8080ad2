"""The user's batches of features, as matrices of finite numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from emberharmony.errors import DataError
from emberharmony.messages import listed
from emberharmony.notebook.entities import NO_ENTITIES, parted
from emberharmony.ops.convert import to_numpy
from emberharmony.stats.rows import LARGEST_FLOAT32
from emberharmony.typing import FeatureBlock, FloatArray

_CHECKED_ROWS = 65_536
"""Rows whose values are checked at a time."""


def batches_in(batches: Any) -> Iterable[Any]:
    """Return an iterable of batches; a single matrix or frame is one batch.

    Raises
    ------
    TypeError
        If the argument is not iterable, or a text or mapping.

    Examples
    --------
    >>> len(list(batches_in(np.zeros((9, 2))))), len(list(batches_in([np.zeros((9, 2)), np.zeros((7, 2))])))
    (1, 2)
    """
    if len(getattr(batches, "shape", ())) == 2:
        return [batches]
    if isinstance(batches, (str, bytes, dict)) or not isinstance(batches, Iterable):
        raise TypeError(
            f"Batches are an iterable of arrays, tensors or frames, each of rows x features; got {_kind(batches)}."
        )
    return batches


class MatrixBatches:
    """Batches of the same columns, read once.

    Parameters
    ----------
    batches : iterable
        Arrays, tensors or frames.
    names : tuple of str, optional
        Names of the columns; otherwise the first frame's.
    entity : tuple of str
        Columns of frames that tell series apart, and are no features.
    """

    def __init__(self, batches: Iterable[Any], names: tuple[str, ...] | None = None, entity: tuple[str, ...] = ()) -> None:
        self._batches, self._entity = batches, entity
        self.names = names

    def __iter__(self) -> Iterator[MatrixBatch]:
        """Yield every batch as a matrix, its columns in the same order."""
        for number, batch in enumerate(self._batches):
            rows = MatrixBatch.of(batch, number, self.names, self._entity)
            self.names = self.names or rows.names
            yield rows


@dataclass(frozen=True)
class MatrixBatch:
    """A batch as a matrix of finite numbers."""

    values: NDArray[Any]  # (n_rows, n_features)
    names: tuple[str, ...] | None
    number: int  # of the batch, for messages
    entities: pa.Table = field(default_factory=lambda: NO_ENTITIES)  # of every row, or without columns

    @classmethod
    def of(cls, batch: Any, number: int, names: tuple[str, ...] | None, entity: tuple[str, ...] = ()) -> MatrixBatch:
        """Return a batch as a matrix, its columns in the order of `names`, if given.

        Raises
        ------
        DataError
            If it is no matrix of finite numbers, or its columns have other names; the message names batch and column.
        """
        batch, entities = parted(batch, number, _names(batch), entity)
        found = _names(batch)
        if names and found and sorted(names) != sorted(found):
            raise DataError(f"Batch {number} has the columns {listed(found)}; the batches before it have {listed(names)}.")
        values = _matrix(batch, number, found)
        if names and found and names != found:
            values = values[:, [found.index(name) for name in names]]
            found = names
        for begin in range(0, len(values), _CHECKED_ROWS):
            finite = np.isfinite(values[begin : begin + _CHECKED_ROWS]).all(axis=0)
            if not finite.all():
                raise DataError(
                    f"Batch {number} has missing or infinite values in {_column(found, finite)}. Fill them first, as "
                    f"TerabyteFeatureExtractor.prepare_data does."
                )
        return cls(values, found, number, entities)

    def check_width(self, n_features: int) -> None:
        """Raise a DataError unless the batch has this number of columns."""
        found = self.values.shape[1]
        if found != n_features:
            raise DataError(f"Batch {self.number} has {found} columns; the batches before it have {n_features}.")

    def blocks(self, shift: FloatArray, n_rows: int) -> Iterator[FeatureBlock]:
        """Yield the rows less `shift` as float32 blocks of shape ``(n_features, <= n_rows)``.

        Raises
        ------
        DataError
            If a difference is beyond float32.
        """
        for begin in range(0, len(self.values), n_rows):
            with np.errstate(over="ignore"):
                rows = self.values[begin : begin + n_rows] - shift
            within = np.asarray((np.abs(rows) <= LARGEST_FLOAT32).all(axis=0))
            if not within.all():
                raise DataError(
                    f"Batch {self.number} has values in {_column(self.names, within)} that are beyond float32, in which "
                    f"windows are computed: its largest number is {LARGEST_FLOAT32:.3g}. Scale the columns first, as "
                    f"TerabyteFeatureExtractor.prepare_data does."
                )
            yield np.ascontiguousarray(rows.astype(np.float32).T)


def _matrix(batch: Any, number: int, names: tuple[str, ...] | None) -> NDArray[Any]:
    needed = "a batch is an array, a tensor or a frame of numbers, of shape (n_rows, n_features)"
    if batch is None or isinstance(batch, (str, bytes, dict, set)):
        raise DataError(f"Batch {number} is {_kind(batch)}; {needed}.")
    if names is not None and len(set(names)) < len(names):
        raise DataError(f"Batch {number} has columns of the same name: {listed(names)}. Rename all but one.")
    try:
        values = to_numpy(batch)
    except (TypeError, ValueError, OverflowError, ArithmeticError) as error:
        raise DataError(f"Batch {number} is not numeric{_culprit(batch, names)}: {error}") from error
    if values.ndim == 1 and _is_column(batch):
        values = values[:, None]
    if values.ndim == 1:
        raise DataError(
            f"Batch {number} has one dimension, of {len(values):,} values; {needed}. Give a row x as x[None, :], a column as "
            f"x[:, None], and rows that come one by one in batches."
        )
    if values.ndim != 2 or values.dtype.kind == "c":
        raise DataError(f"Batch {number} is {values.dtype} of shape {values.shape}; {needed}.")
    if not values.shape[1]:
        raise DataError(f"Batch {number} has no columns; {needed}.")
    return values


def _is_column(batch: Any) -> bool:
    """Whether a batch of one dimension is a column: a series is, unless its index names columns, as a row's does."""
    if type(batch).__module__.partition(".")[0] == "pandas":
        return bool(batch.index.inferred_type not in ("string", "mixed"))
    return type(batch).__module__.partition(".")[0] in ("polars", "pyarrow")


def _culprit(batch: Any, names: tuple[str, ...] | None) -> str:
    """Name the column of a frame that does not become numbers."""
    for i, name in enumerate(names or ()):
        try:
            to_numpy(batch.iloc[:, i] if hasattr(batch, "iloc") else batch[name])
        except (TypeError, ValueError, OverflowError, ArithmeticError):
            return f" in column {name}"
    return ""


def _column(names: tuple[str, ...] | None, fine: NDArray[np.bool_]) -> str:
    """Name the first column that is not fine."""
    place = int(np.argmin(fine))
    return f"column {names[place] if names else place}"


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _names(batch: Any) -> tuple[str, ...] | None:
    """Columns' names of pandas and polars frames and Arrow tables."""
    names = getattr(batch, "column_names", None)
    if names is None and hasattr(batch, "dtypes"):
        names = getattr(batch, "columns", None)
    return None if names is None else tuple(map(str, names))
