"""Cyclical features of a frame's column of times or of texts that are times."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from emberharmony.arrow import holds_times
from emberharmony.features.kinds import datetime
from emberharmony.features.specs import CyclicalSpec
from emberharmony.notebook.date_texts import UnreadTimesError, parsed

if TYPE_CHECKING:
    import pandas as pd

_log = logging.getLogger(__name__)


def wall_times(df: pd.DataFrame, col: str) -> pa.Array | None:
    """Return the times of a column in its own time zone; log a warning and return None if it holds something else.

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
    if not holds_times(_type_of(column)):
        try:
            column = parsed(column)
        except UnreadTimesError as unread:
            _log.warning(
                "Column %r holds %s; no features are made of it. Make it times first, with pandas.to_datetime and the "
                "format that it is in.",
                col,
                unread,
            )
            return None
    times = pa.array(column, from_pandas=True)
    return pc.local_timestamp(times) if pt.is_timestamp(times.type) and times.type.tz else times


def with_datetime_features(df: pd.DataFrame, col: str) -> pd.DataFrame:
    """Return the frame with the eight cyclical features of a column.

    They are NaN where the time is missing. A frame whose column holds no times is returned as it is.
    """
    times = wall_times(df, col)
    if times is None:
        return df
    block = datetime.cyclical_block(pa.chunked_array([times]), CyclicalSpec())
    block[:, times.is_null().to_numpy(zero_copy_only=False)] = np.nan
    return df.assign(**dict(zip(datetime.feature_names(col), block, strict=True)))


def _type_of(column: pd.Series) -> pa.DataType:
    try:
        return pa.array(column[:0], from_pandas=True).type
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return pa.null()
