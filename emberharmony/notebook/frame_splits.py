"""Frames divided into train, validation and test rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from emberharmony.arrow import holds_times, ticks
from emberharmony.errors import DataError
from emberharmony.messages import rows_without, shown
from emberharmony.notebook.bigquery_frames import is_time, split_by_times
from emberharmony.notebook.frames import is_bigframe
from emberharmony.splits import SPLITS, SplitCodes, SplitSpec, TimeBoundaries, split_by_rank, split_by_time
from emberharmony.typing import IntArray

if TYPE_CHECKING:
    import pandas as pd


class SplitFrames(NamedTuple):
    """The rows of a frame, divided."""

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame


def split_frame(frame: pd.DataFrame, index_col: str | None = None) -> SplitFrames:
    """Divide rows 80 / 10 / 10.

    Parameters
    ----------
    frame : DataFrame
        A frame of pandas or bigframes.
    index_col : str, optional
        Column or index level. If it holds times, they order the rows; otherwise the order of the frame counts.

    Raises
    ------
    DataError
        If there is no such column, or a row has no time.

    Examples
    --------
    >>> import pandas as pd
    >>> [len(part) for part in split_frame(pd.DataFrame({"x": range(10)}))]
    [8, 1, 1]
    """
    if is_bigframe(frame):
        if not is_time(frame, index_col):
            raise DataError(f"A frame in BigQuery is divided by a column of times, and {shown(index_col)} is not one.")
        return SplitFrames(*split_by_times(frame, str(index_col)))
    times = None if index_col is None else _times_of(frame, index_col)
    if times is None:
        order = np.arange(len(frame))
        codes = split_by_rank(order, SplitSpec(), len(order))
    else:
        order = np.argsort(times, kind="stable")
        codes = _split_of(times[order])
    return SplitFrames(*(frame.iloc[order[codes == i]] for i in range(len(SPLITS))))


def _times_of(frame: pd.DataFrame, name: str) -> IntArray | None:
    """Return the times of a column or index level as ticks; None if it holds something else."""
    if name not in frame.columns and name not in frame.index.names:
        raise DataError(f"The frame has neither a column nor an index {shown(name)}.")
    times = pa.array(frame[name] if name in frame.columns else frame.index.get_level_values(name), from_pandas=True)
    if not holds_times(times.type):
        return None
    if times.null_count:
        raise DataError(rows_without("time", name, times.null_count))
    return ticks(times)[0]


def _split_of(ordered: IntArray) -> SplitCodes:
    boundaries = TimeBoundaries.of(SplitSpec(), len(ordered), lambda ranks: ordered[ranks].tolist())
    return split_by_time(ordered, boundaries)
