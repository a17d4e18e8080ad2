"""Turn rows into features, and features into the states that PCAs are fitted on."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from emberharmony.arrow import ticks
from emberharmony.features.drift import Baseline, ColumnCounts
from emberharmony.features.kinds.registry import kind_named
from emberharmony.features.preprocessing import Preprocessing, datetime_features, encode
from emberharmony.series import Segment
from emberharmony.splits import SplitCodes
from emberharmony.stats.runs import Runs
from emberharmony.stats.window_gram import WindowGram
from emberharmony.windows import WindowSpec

__all__ = ["datetime_features", "drift_counts", "encode", "state_pays", "time_runs", "window_states"]

_STATE_WORTH = 2
"""Windows' matrices may take this many times the bytes of their rows. They cost space, but all workers make them, and they are
merged at the speed of reading; rows that are left to the fit are read again and multiplied by one process."""


def window_states(train: Segment, windows: WindowSpec) -> list[WindowGram]:
    """Return the Gram states of the windows in a segment, one for each stride; only windows with a label count."""
    return WindowGram.of_strides(
        train.block,
        start=train.start,
        size=windows.size,
        strides=windows.strides,
        borders=train.borders,
        label_after=windows.horizon,
    )


def state_pays(n_bytes: int, windows: WindowSpec, n_features: int) -> bool:
    """Whether Gram states are worth their space for so many bytes of training rows; otherwise the fit joins rows first."""
    return _STATE_WORTH * n_bytes > windows.state_bytes(n_features)


def drift_counts(rows: pa.Table, fitted: Preprocessing, baselines: Mapping[str, Baseline]) -> list[ColumnCounts]:
    """Rows of every fitted column by the bins of the training rows."""
    return [kind_named(c.kind).count(rows[c.name], c, baselines[c.name]) for c in fitted.columns]


def time_runs(rows: pa.Table, time: str, codes: SplitCodes) -> Runs:
    """Runs of rows of equal time: if there are many, windows may mix several series."""
    return Runs.of(ticks(rows[time])[0][codes >= 0])
