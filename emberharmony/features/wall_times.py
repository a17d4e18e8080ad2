"""Times of a notebook's frame, however they are written down."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from emberharmony.features.columns import kind_of

if TYPE_CHECKING:
    import pandas as pd

_log = logging.getLogger(__name__)


def wall_times(df: pd.DataFrame, col: str) -> pa.Array | None:
    """Times of a column, or of its texts, as its own clock shows them; ``None``, and a warning, if it holds none.

    Examples
    --------
    >>> import pandas as pd
    >>> wall_times(pd.DataFrame({"t": ["2024-01-31 05:00", None]}), "t").to_pylist()
    [datetime.datetime(2024, 1, 31, 5, 0), None]
    """
    import pandas as pd

    if col not in df.columns:
        _log.warning("Column %r is not in the frame, which has %s; no features are made of it.", col, list(df.columns))
        return None
    column = df[col]
    if pd.api.types.is_numeric_dtype(column):
        _log.warning("Column %r holds numbers (%s), not times; no features are made of it.", col, column.dtype)
        return None
    if kind_of(_type_of(column)) != "datetime":
        parsed = _parsed(column)
        unread = column[parsed.isna() & column.notna()]
        if len(unread):
            _log.warning("Column %r holds %r, which is no time; no features are made of it.", col, unread.iloc[0])
            return None
        column = parsed
    times = pa.array(column, from_pandas=True)
    return pc.local_timestamp(times) if pt.is_timestamp(times.type) and times.type.tz else times


def _type_of(column: pd.Series) -> pa.DataType:
    try:
        return pa.array(column[:0], from_pandas=True).type
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return pa.null()


def _parsed(column: pd.Series) -> pd.Series:
    """Texts as times, with NaT where one is none."""
    import pandas as pd

    try:
        return pd.to_datetime(column, format="ISO8601")
    except (ValueError, TypeError, OverflowError):
        # Anything else that reads as a time, each by itself; several time zones have UTC in common.
        return pd.to_datetime(column, format="mixed", errors="coerce", utc=True)
