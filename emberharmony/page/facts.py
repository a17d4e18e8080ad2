"""What the page of a run is made of: counts, what was fitted, and small samples of rows and windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from emberharmony.features.drift import Baseline, ColumnCounts
from emberharmony.features.kinds.base import FittedColumn
from emberharmony.io.manifest import Manifest
from emberharmony.pca import WindowPCA
from emberharmony.typing import Arrays, FloatArray, IntArray


@dataclass(frozen=True)
class Sample:
    """Some rows or windows of a run, in order: the split of each, its time, and numbers of it.

    Examples
    --------
    >>> first = Sample(np.array([0]), np.array([5.0]), np.zeros((2, 1)))
    >>> Sample.joined([first, Sample(np.array([1, 1]), np.array([6.0, 7.0]), np.ones((2, 2)))]).values.shape
    (2, 3)
    """

    splits: IntArray
    """Shape ``(n,)``: place of the split among those of the job."""
    times: FloatArray
    """Shape ``(n,)``: seconds since 1970, UTC; NaN in a job without times."""
    values: FloatArray
    """Shape ``(n_features, n)`` of rows, ``(2, n)`` of windows: their first two scores."""

    @property
    def n(self) -> int:
        """Number of rows or windows."""
        return len(self.splits)

    @classmethod
    def joined(cls, samples: list[Self]) -> Self | None:
        """Return the samples one after the other; ``None`` if there are none."""
        if not samples:
            return None
        return cls(
            np.concatenate([sample.splits for sample in samples]),
            np.concatenate([sample.times for sample in samples]),
            np.concatenate([sample.values for sample in samples], axis=1),
        )

    def to_arrays(self) -> Arrays:
        """Return the sample as named arrays."""
        return {"splits": self.splits, "times": self.times, "values": self.values}

    @classmethod
    def from_arrays(cls, arrays: Arrays, /) -> Self:
        """Return the sample that `to_arrays` wrote."""
        return cls(arrays["splits"], arrays["times"], arrays["values"])


@dataclass(frozen=True)
class StageWork:
    """What one stage took: one entry for each chunk, or one for the whole job."""

    title: str
    chunks: IntArray
    rows: IntArray
    seconds: FloatArray
    workers: tuple[str, ...]
    """Backend and host that computed each entry."""
    memory: IntArray | None = None
    """Bytes that the process held at the end of each entry; 0 if unknown."""

    @property
    def most_bytes(self) -> int:
        """Most bytes that a process held at the end of an entry; 0 if unknown."""
        return 0 if self.memory is None else int(self.memory.max(initial=0))


@dataclass(frozen=True)
class Facts:
    """Everything that the page of a run says. A result that is published keeps no samples, and no times of its stages."""

    manifest: Manifest
    source: str
    """The table that was read, as people write it."""
    place: str
    """Where the result is."""
    columns: tuple[FittedColumn, ...] = ()
    baselines: Mapping[str, Baseline] = field(default_factory=dict)
    """Counts of the training rows, by column."""
    applied: Mapping[str, ColumnCounts] = field(default_factory=dict)
    """Counts of the rows that a state is applied to, by column and in the bins of `baselines`."""
    pcas: Mapping[int, WindowPCA] = field(default_factory=dict)
    rows: Sample | None = None
    windows: Mapping[int, Sample] = field(default_factory=dict)
    """By stride."""
    lengths: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """By split, in a job of many series: how many have from ``2**i`` to ``2**(i + 1) - 1`` rows."""
    work: tuple[StageWork, ...] = ()
    planned_bytes: int = 0
    """Memory that was planned; 0 if unknown."""
    peak_bytes: int = 0
    """Most memory of the process that published, with its children; 0 if unknown."""

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, in the order of their places in samples."""
        return tuple(self.manifest.rows)
