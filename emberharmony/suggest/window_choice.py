"""Windows that fit the series that were seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from emberharmony.splits import SPLITS, SplitSpec, TimeBoundaries, split_by_time
from emberharmony.suggest.feature_rules import Roles
from emberharmony.suggest.table_sample import TableSample
from emberharmony.typing import IntArray
from emberharmony.windows import n_windows

SIZES: Final = (5, 4, 3, 2)
STRIDES: Final = (1, 3, 5)


@dataclass(frozen=True)
class WindowChoice:
    """Size and strides of the windows, and why."""

    size: int
    strides: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class SeriesLengths:
    """Rows of each training series, and of each split that has to have rows; those of a large table are estimates."""

    train: Sequence[int]
    splits: Sequence[int]
    is_estimate: bool


def choose_windows(lengths: SeriesLengths) -> WindowChoice:
    """Return the largest windows of which the typical training series has several; none if no series is that long.

    Examples
    --------
    >>> choose_windows(SeriesLengths([800], [800, 100, 100], is_estimate=False))
    WindowChoice(size=5, strides=(1, 3, 5), reason='the training rows are one series of 800 rows')
    >>> choose_windows(SeriesLengths([6, 6, 7], [19, 3, 3], is_estimate=False))
    WindowChoice(size=3, strides=(1, 3), reason='half of the 3 training series have 6 rows or more')
    """
    typical = int(np.median(lengths.train)) if len(lengths.train) else 0
    longest = max(lengths.train, default=0)
    about = "about " if lengths.is_estimate else ""
    if len(lengths.train) == 1:
        seen = f"the training rows are one series of {about}{longest:,} rows"
    else:
        seen = f"half of the {about}{len(lengths.train):,} training series have {about}{typical:,} rows or more"
    for size in SIZES:
        strides = tuple(stride for stride in STRIDES if sum(n_windows(size, stride, n) for n in lengths.train) > 1)
        if 2 * size <= typical and 1 in strides and min(lengths.splits) >= size:
            return WindowChoice(size, tuple(s for s in strides if n_windows(size, s, longest) > 1), seen)
    return WindowChoice(SIZES[0], (), f"no windows: {seen}, too few for several windows")


def series_lengths(sample: TableSample, roles: Roles) -> SeriesLengths:
    """Return the lengths of the series of a table in its default split; estimated, if the sample is not all of it.

    The estimate assumes that every entity of the table is in the sample, and that all have the same number of rows.
    """
    if not sample.is_whole or not sample.rows.num_rows:
        entities = sample.groups(roles.entity) if roles.entity and sample.rows.num_rows else None
        n_entities = 1 if entities is None else len(np.unique(entities))
        train = int(0.8 * sample.n_rows / n_entities)
        return SeriesLengths([train] * n_entities, [sample.n_rows // 10], is_estimate=True)
    codes, keep = _splits_of(sample, roles)
    groups = sample.groups(roles.entity)
    assert groups is not None, "entities can be compared"
    counts = np.bincount(groups[keep][codes == 0])
    return SeriesLengths(counts[counts > 0].tolist(), [int((codes == i).sum()) for i in range(len(SPLITS))], is_estimate=False)


def _splits_of(sample: TableSample, roles: Roles) -> tuple[IntArray, IntArray]:
    """Return the split of each row that has a time, and the numbers of these rows."""
    times = sample.columns[roles.time].times if roles.time else None
    n_rows = sample.rows.num_rows
    if times is None:
        first, second = SplitSpec().ranks(n_rows)
        return np.searchsorted([first, second], np.arange(n_rows), side="right"), np.arange(n_rows)
    numbers, missing = times
    keep = np.flatnonzero(~missing)
    ordered = np.sort(numbers[keep])
    boundaries = TimeBoundaries.of(SplitSpec(), len(keep), lambda ranks: ordered[ranks].tolist())
    return split_by_time(numbers[keep], boundaries).astype(np.int64), keep
