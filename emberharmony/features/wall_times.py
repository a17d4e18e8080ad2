"""Times of a notebook's frame, however they are written down."""

from __future__ import annotations

import logging
from numbers import Number
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
    if column.ndim == 2:
        _log.warning("The frame has %d columns %r; no features are made of them.", column.shape[1], col)
        return None
    if pd.api.types.is_numeric_dtype(column):
        _log.warning("Column %r holds numbers (%s), not times; no features are made of it.", col, column.dtype)
        return None
    if kind_of(_type_of(column)) != "datetime":
        number = _a_number(column)
        parsed = _parsed(column) if number is None else None
        unread = number if parsed is None else next(iter(column[parsed.isna() & column.notna()]), None)
        if parsed is None or unread is not None:
            _log.warning("Column %r holds %r, which is no time; no features are made of it.", col, unread)
            return None
        column = parsed
    times = pa.array(column, from_pandas=True)
    return pc.local_timestamp(times) if pt.is_timestamp(times.type) and times.type.tz else times


def _type_of(column: pd.Series) -> pa.DataType:
    try:
        return pa.array(column[:0], from_pandas=True).type
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return pa.null()


def _a_number(column: pd.Series) -> object:
    """A number among objects or categories, which pandas would read as nanoseconds since 1970; ``None`` if there is none."""
    values = column.cat.categories if hasattr(column, "cat") else column if column.dtype == object else ()
    return next((value for value in values if isinstance(value, Number) and value == value), None)


def _parsed(column: pd.Series) -> pd.Series:
    """Texts as times, with NaT where one is none."""
    import pandas as pd

    try:
        return pd.to_datetime(column, format="ISO8601")
    except (ValueError, TypeError, OverflowError):
        # Anything else that reads as a time, each by itself; several time zones have UTC in common.
        return pd.to_datetime(column, format="mixed", errors="coerce", utc=True)
