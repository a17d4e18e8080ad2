"""What the stride processor has fitted, the series that it continues, and both as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from emberharmony.io.store.local import by_prefix, prefixed
from emberharmony.notebook.matrix_batch import COPY_ROWS, MatrixBatch
from emberharmony.notebook.spool import RowSpool
from emberharmony.pca import WindowPCA
from emberharmony.typing import Arrays, FeatureBlock, FloatArray


@dataclass(frozen=True)
class FittedStride:
    """A stride's model, of the rows as they came and of the rows less `shift`, which is what is computed with.

    Rows are float32 in every computation: taking their means away first leaves the digits to what varies.
    """

    pca: WindowPCA
    shifted: WindowPCA
    shift: FloatArray

    @classmethod
    def of(cls, shifted: WindowPCA, shift: FloatArray) -> FittedStride:
        """Return the model of rows from which `shift` was taken."""
        return cls(replace(shifted, mean=shifted.mean + np.tile(shift, shifted.size)), shifted, shift)


@dataclass(frozen=True)
class Tail:
    """The last rows of an open series."""

    first: int  # number in the series of the first of them
    rows: FloatArray  # (n_rows, n_features)

    @classmethod
    def of(cls, spool: Spool, halo: int) -> Tail:
        """Return the last rows of a spool of one series."""
        first = max(spool.n_rows - halo, 0)
        return cls(first, spool.read(first, spool.n_rows).T + spool.shift)

    def block(self, shift: FloatArray) -> FeatureBlock | None:
        """Return the rows less `shift`, as a block; ``None`` if there are none."""
        return next(MatrixBatch(self.rows, None).blocks(shift, COPY_ROWS, 0), None)


class Spool(RowSpool):
    """The batches on disk, less the first one's means, and where each series begins."""

    def __init__(self) -> None:
        super().__init__()
        self.series: list[tuple[int, int]] = []  # first row and number of rows of each
        self.shift: FloatArray = np.empty(0)
        self.names: tuple[str, ...] | None = None

    def add(self, rows: MatrixBatch, number: int, *, new_series: bool) -> None:
        """Append a batch; the first one says how far its columns lie from zero, and the first frame what they are."""
        self.names = self.names or rows.names
        if not self.n_rows:
            with np.errstate(over="ignore"):
                mean = rows.values.mean(axis=0, dtype=np.float64)
            self.shift = np.where(np.isfinite(mean), mean, 0.0)
        rows.check_width(len(self.shift), number)
        if new_series or not self.series:
            self.series.append((self.n_rows, self.n_rows))
        for block in rows.blocks(self.shift, COPY_ROWS, number):
            self.append(block)
        self.series[-1] = (self.series[-1][0], self.n_rows)


def overlapping(
    blocks: Iterable[FeatureBlock], halo: int, *, start: int = 0, before: FeatureBlock | None = None
) -> Iterator[tuple[int, FeatureBlock]]:
    """Blocks of a series, each with up to `halo` rows before it, and the number of the first row: no window is whole twice."""
    for block in blocks:
        rows = block if before is None else np.concatenate([before, block], axis=1)
        yield start, rows
        kept = max(rows.shape[1] - halo, 0)
        start, before = start + kept, rows[:, kept:]


def state_arrays(fitted: Mapping[int, FittedStride], tail: Tail | None) -> Arrays:
    """Return models, and the open series if there is one, as named arrays."""
    states: dict[str, Arrays] = {
        str(stride): {**model.shifted.to_arrays(), "shift": model.shift} for stride, model in fitted.items()
    }
    if tail is not None:
        states["tail"] = {"first": np.array([tail.first]), "rows": tail.rows}
    return prefixed(states)


def state_of_arrays(arrays: Arrays) -> tuple[dict[int, FittedStride], Tail | None]:
    """Return what `state_arrays` has taken apart."""
    states = by_prefix(arrays)
    tail = states.pop("tail", None)
    fitted = {int(stride): FittedStride.of(WindowPCA.from_arrays(state), state["shift"]) for stride, state in states.items()}
    return fitted, None if tail is None else Tail(int(tail["first"][0]), tail["rows"])
