"""bigframes DataFrames, whose rows are in BigQuery: results are written back or computed there."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from emberharmony.arrow import holds_times
from emberharmony.errors import DataError
from emberharmony.features.kinds.datetime import LARGEST, feature_names
from emberharmony.io.bigquery.column_types import converted, written_as
from emberharmony.io.bigquery.failures import google_errors, raise_explained
from emberharmony.io.bigquery.identifiers import column_names
from emberharmony.messages import rows_without
from emberharmony.notebook.frames import batches_of, is_bigframe, write_batches
from emberharmony.splits import SplitSpec

_POSITION: Final = "emberharmony_position"
_FIRST: Final = {"hour": 0, "dayofweek": 0, "day": 1, "month": 1}
"""Smallest value of each part of a time in BigQuery."""


def session_of(table: object) -> Any:
    """Return the session of a bigframes DataFrame; None for other tables."""
    return getattr(table, "_session", None) if is_bigframe(table) else None  # which has no public name


def map_bigframe(frame: Any, function: Callable[[pa.Table], pa.Table], batch_rows: int) -> Any:
    """Apply a function to the rows, batch by batch; the result is a frame with the same session, index and order."""
    try:
        names = list(frame.index.names)
    except ValueError:  # NullIndexError: under partial ordering rows need none
        names = []
    levels = [f"emberharmony_level_{i}" if name is None else str(name) for i, name in enumerate(names)]
    named = frame if levels == names else frame.rename_axis(levels)

    def rows() -> Iterator[pa.Table]:
        for batch in batches_of(named, batch_rows):
            made = function(batch)
            yield pa.table([*batch.select(levels).columns, *made.columns], names=[*levels, *made.column_names])

    result = to_bigframe(rows(), session_of(frame), index=levels)
    return result if levels == names else result.rename_axis(names)


def to_bigframe(batches: Iterable[pa.Table], session: Any, *, index: Sequence[str] = ()) -> Any:
    """Load rows into a session of bigframes, in their order; the columns of `index` come first.

    A load job writes them to a temporary table, which is removed when the session is closed. The caller closes the session.
    BigQuery stores floats in 64 bits.
    """
    batches = iter(batches)
    first = next(batches)
    names = column_names(first.column_names)
    with tempfile.TemporaryDirectory(prefix="emberharmony-") as folder:
        path = Path(folder) / "rows.parquet"
        write_batches(_positioned(chain([first], batches), names), path)
        try:
            frame = session.read_parquet(str(path), engine="bigquery")
        except google_errors() as error:
            raise_explained(error, doing="Loading rows into the frame's session", permission="bigquery.tables.create")
    frame = frame.sort_values(_POSITION).drop(columns=_POSITION)
    if index:
        frame = frame.set_index(names[: len(index)]).rename_axis(list(index))
    frame.columns = first.column_names[len(index) :]
    return frame


def _positioned(batches: Iterable[pa.Table], names: Sequence[str]) -> Iterator[pa.Table]:
    """Yield the rows in types of BigQuery, with a column of positions: its tables have no order."""
    n_rows = 0
    for batch in batches:
        columns = [  # nested ones as they are: the session decides about them
            column if written_as(column.type) is None else converted(column, name)
            for name, column in zip(batch.column_names, batch.columns, strict=True)
        ]
        place = pa.array(np.arange(n_rows, n_rows + batch.num_rows))
        yield pa.table(columns, names=list(names)).append_column(_POSITION, place)
        n_rows += batch.num_rows


def is_time(frame: Any, column: str | None) -> bool:
    """Whether a frame has a column of this name that holds times."""
    return column in frame.columns and holds_times(_arrow_type(frame, column))


def with_cyclical_features(frame: Any, column: str) -> Any:
    """Return the frame with the eight cyclical features of a column of times; BigQuery computes them when they are read."""
    times = _times(frame, column).dt
    features = []
    for part, largest in LARGEST.items():
        angle = (getattr(times, part) - _FIRST[part]) * (2 * np.pi / largest)
        features += [np.sin(angle), np.cos(angle)]
    return frame.assign(**dict(zip(feature_names(column), features, strict=True)))


def split_by_times(frame: Any, column: str) -> list[Any]:
    """Divide the rows in the order of a column of times, as the pipeline does.

    Only the distinct times and their counts are downloaded.
    """
    times = _times(frame, column)
    counts = times.value_counts().to_pandas().sort_index()
    n_rows, n_timed = frame.shape[0], int(counts.sum())
    if n_timed < n_rows:
        raise DataError(rows_without("time", column, n_rows - n_timed))
    # The time of the row at each boundary's rank; rows of equal time stay together.
    places = np.searchsorted(counts.cumsum().to_numpy(np.int64), SplitSpec().ranks(n_rows), side="right")
    begins = [counts.index[place] if place < len(counts) else None for place in places]
    before = [times == times if begin is None else times < begin for begin in begins]
    parts = frame[before[0]], frame[~before[0] & before[1]], frame[~before[1]]
    return [part.sort_values(column) for part in parts]


def _arrow_type(frame: Any, column: str | None) -> pa.DataType:
    return getattr(frame.dtypes[column], "pyarrow_dtype", pa.null())


def _times(frame: Any, column: str) -> Any:
    is_date = pt.is_date(_arrow_type(frame, column))
    return frame[column].astype("timestamp[us][pyarrow]") if is_date else frame[column]
