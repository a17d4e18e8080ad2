"""Frames of bigframes, whose rows are in BigQuery: what is made of them goes back there, or is made there."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from emberharmony.errors import DataError
from emberharmony.features.columns import kind_of
from emberharmony.features.kinds.datetime import LARGEST, feature_names
from emberharmony.io.bigquery.column_types import converted, written_as
from emberharmony.io.bigquery.failures import google_errors, raise_explained
from emberharmony.io.bigquery.identifiers import column_names
from emberharmony.notebook.frames import batches_of, is_bigframe, write_batches
from emberharmony.splits import SplitSpec

_POSITION: Final = "emberharmony_position"
_FIRST: Final = {"hour": 0, "dayofweek": 0, "day": 1, "month": 1}
"""What BigQuery counts each part of a time from."""


def session_of(table: object) -> Any:
    """Return the session that a bigframes frame is of; ``None`` of anything else."""
    return getattr(table, "_session", None) if is_bigframe(table) else None  # which has no public name


def map_bigframe(frame: Any, function: Callable[[pa.Table], pa.Table], batch_rows: int) -> Any:
    """Return what a function makes of a bigframes frame's rows, by batches: a frame of the same session, index and order."""
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
    """Return rows, in their order, as a frame of a session of bigframes; the columns of `index` come first.

    They go through a file and a load job into a table of the session's own, which goes when the session is closed: by whoever
    opened it, never here. BigQuery keeps floats in 64 bits.
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
    """Rows as BigQuery takes them, and the place of each: a table there has no order."""
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
    """Whether a frame has a column of times of this name."""
    return column in frame.columns and kind_of(_arrow_type(frame, column)) == "datetime"


def with_cyclical_features(frame: Any, column: str) -> Any:
    """Return the frame with the eight features of a column of times; BigQuery computes them when they are asked for."""
    times = _times(frame, column).dt
    features = []
    for part, largest in LARGEST.items():
        angle = (getattr(times, part) - _FIRST[part]) * (2 * np.pi / largest)
        features += [np.sin(angle), np.cos(angle)]
    return frame.assign(**dict(zip(feature_names(column), features, strict=True)))


def split_by_times(frame: Any, column: str) -> list[Any]:
    """Return the frame's rows in order of a column of times, divided where the pipeline divides them.

    Only the times come here, each once, with the number of rows that have it.
    """
    times = _times(frame, column)
    counts = times.value_counts().to_pandas().sort_index()
    n_rows, n_timed = frame.shape[0], int(counts.sum())
    if n_timed < n_rows:
        raise DataError(f"{n_rows - n_timed:,} rows have no time in {column!r}, so they have no place in the order.")
    # The time of the row at a rank; rows of equal time stay together.
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
