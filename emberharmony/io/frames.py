"""Frames of a notebook as Parquet, which is what jobs read, and rows as frames of bigframes, whose rows are in BigQuery."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from emberharmony.errors import DataError
from emberharmony.io.bigquery.failures import google_errors, raise_explained
from emberharmony.io.bigquery.identifiers import column_names
from emberharmony.io.bigquery.tables import written_type

_POSITION: Final = "emberharmony_position"


def is_bigframe(table: object) -> bool:
    """Whether a table is a frame of bigframes, whose rows are in BigQuery."""
    return type(table).__module__.partition(".")[0] == "bigframes"


def batches_of(table: Any, batch_rows: int) -> Iterator[pa.Table]:
    """Rows of a pandas, polars or bigframes frame, or an Arrow table, as Arrow tables of at most `batch_rows` rows.

    Raises
    ------
    TypeError
        If the table is something else.
    DataError
        If a column holds objects that no Arrow type describes.
    """
    if is_bigframe(table):
        try:
            # Without `allow_large_results` a result of more than 10 GB is refused.
            for frame in table.to_pandas_batches(page_size=batch_rows, allow_large_results=True):
                yield from _pieces(_of_pandas(frame), batch_rows)
        except google_errors() as error:
            raise_explained(error, doing="Reading the frame", permission="bigquery.tables.getData")
        return
    library = type(table).__module__.partition(".")[0]
    if isinstance(table, pa.Table):
        yield from _pieces(table, batch_rows)
    elif library == "pandas" and hasattr(table, "columns"):
        yield from _pieces(_of_pandas(table), batch_rows)
    elif library == "polars" and hasattr(table, "to_arrow"):
        yield from _pieces(table.to_arrow(), batch_rows)
    else:
        raise TypeError(
            f"A table is a path of Parquet files, the name of a BigQuery table, a pandas, polars or bigframes DataFrame, or "
            f"an Arrow table; got {type(table).__module__}.{type(table).__qualname__}."
        )


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
        types = [written_type(column.type) for column in batch.schema]
        schema = pa.schema([pa.field(name, kind) for name, kind in zip(names, types, strict=True)])
        place = pa.array(range(n_rows, n_rows + batch.num_rows), pa.int64())
        yield batch.rename_columns(list(names)).cast(schema, safe=False).append_column(_POSITION, place)
        n_rows += batch.num_rows


def write_batches(batches: Iterable[pa.Table], path: Path, *, limit: int | None = None) -> int:
    """Write tables of one schema, a row group each, up to `limit` rows; returns how many rows were written."""
    writer, n_rows = None, 0
    try:
        for batch in batches:
            if limit is not None:
                batch = batch.slice(0, limit - n_rows)
            if writer is None:
                writer = pq.ParquetWriter(path, batch.schema, compression="lz4")
            # Pages of a frame in BigQuery may differ in what pandas makes of a column without values.
            writer.write_table(batch.cast(writer.schema), row_group_size=max(batch.num_rows, 1))
            n_rows += batch.num_rows
            if limit is not None and n_rows >= limit:
                break
    finally:
        if writer is not None:
            writer.close()
    return n_rows


def _pieces(table: pa.Table, n_rows: int) -> Iterator[pa.Table]:
    table = table.replace_schema_metadata(None)
    for begin in range(0, max(table.num_rows, 1), n_rows):
        yield table.slice(begin, n_rows)


def _of_pandas(frame: Any) -> pa.Table:
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise DataError(f"The frame has more than one column of the name {', '.join(twice)}; rename all but one.")
    try:
        # A named index is a column that pandas keeps apart; an unnamed one says nothing.
        named = any(name is not None for name in frame.index.names)
        return pa.Table.from_pandas(frame, preserve_index=named)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"The frame does not become a table: {error}. Give that column one type.") from error
