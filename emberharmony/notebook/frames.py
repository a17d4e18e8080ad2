"""Frames as Arrow tables and Parquet files, which jobs read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from emberharmony.arrow import plain_table
from emberharmony.errors import DataError
from emberharmony.io.bigquery.failures import google_errors, raise_explained
from emberharmony.messages import listed, shown

REFUSALS = (pa.ArrowException, OverflowError, UnicodeError, TypeError, ValueError, AttributeError, NotImplementedError)
"""Errors of Arrow, pandas and polars for values without an Arrow or Parquet type."""


def is_bigframe(table: object) -> bool:
    """Whether a table is a bigframes DataFrame, whose rows are in BigQuery."""
    return type(table).__module__.partition(".")[0] == "bigframes"


def is_pandas(table: object) -> bool:
    """Whether a table is a pandas DataFrame."""
    return type(table).__module__.partition(".")[0] == "pandas" and hasattr(table, "columns")


def names_of_frame(table: Any) -> list[str]:
    """Return the names of a frame's columns; none of what is no frame."""
    return table.column_names if isinstance(table, pa.Table) else [str(name) for name in getattr(table, "columns", ())]


def batches_of(
    table: Any, batch_rows: int, *, without: Collection[str] = (), only: Collection[str] | None = None
) -> Iterator[pa.Table]:
    """Yield the rows of a frame as Arrow tables of at most `batch_rows` rows.

    Parameters
    ----------
    table : DataFrame or Table
        A pandas, polars or bigframes DataFrame, or an Arrow table.
    batch_rows : int
        Rows of a batch.
    without : collection of str
        Columns that are not needed; their values become nulls.
    only : collection of str, optional
        Columns that are needed; the values of all others become nulls.

    Raises
    ------
    TypeError
        If the table is something else.
    DataError
        If there are no columns, or the values of a column have no Arrow type; the message names the column.
    """

    def is_needed(name: str) -> bool:
        return name not in without and (only is None or name in only)

    if is_bigframe(table):
        try:
            # Without `allow_large_results` a result of more than 10 GB is refused.
            for frame in table.to_pandas_batches(page_size=batch_rows, allow_large_results=True):
                yield from _pieces(_of_pandas(frame, is_needed), batch_rows)
        except google_errors() as error:
            raise_explained(error, doing="Reading the frame", permission="bigquery.tables.getData")
        return
    library = type(table).__module__.partition(".")[0]
    if isinstance(table, pa.Table):
        yield from _pieces(_of_arrow(table, is_needed), batch_rows)
    elif is_pandas(table):
        yield from _pieces(_of_pandas(table, is_needed), batch_rows)
    elif library == "polars" and hasattr(table, "to_arrow"):
        yield from _pieces(_of_polars(table, is_needed), batch_rows)
    else:
        raise TypeError(
            f"A table is a path of Parquet files, the name of a BigQuery table, a pandas, polars or bigframes DataFrame, or "
            f"an Arrow table; got {type(table).__module__}.{type(table).__qualname__}."
        )


def write_batches(batches: Iterable[pa.Table], path: Path, *, limit: int | None = None) -> int:
    """Write tables of one schema to a Parquet file, a row group each, and return the number of rows written.

    With `limit`, only that many rows are written.

    Raises
    ------
    DataError
        If the values of a column have no Parquet type; the message names the column.
    """
    writer, n_rows = None, 0
    try:
        for batch in batches:
            if limit is not None:
                batch = batch.slice(0, limit - n_rows)
            try:
                if writer is None:
                    writer = pq.ParquetWriter(path, batch.schema, compression="lz4")
                # The pages of a frame in BigQuery may differ in the type of a column without values.
                writer.write_table(batch.cast(writer.schema), row_group_size=max(batch.num_rows, 1))
            except REFUSALS as error:
                raise _unwritable_column(batch, error) from error
            n_rows += batch.num_rows
            if limit is not None and n_rows >= limit:
                break
    finally:
        if writer is not None:
            writer.close()
    return n_rows


def _pieces(table: pa.Table, n_rows: int) -> Iterator[pa.Table]:
    if not table.column_names:
        raise DataError("The frame has no columns, so there is nothing to read.")
    _check_distinct(table.column_names)
    table = plain_table(table.replace_schema_metadata(None))
    for begin in range(0, max(table.num_rows, 1), n_rows):
        yield table.slice(begin, n_rows)


def _check_distinct(names: list[str]) -> None:
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise DataError(f"The frame has more than one column called {listed(twice)}. Rename all but one.")


def _of_pandas(frame: Any, is_needed: Callable[[str], bool]) -> pa.Table:
    names = [str(name) for name in frame.columns]
    _check_distinct(names)
    columns = [frame.iloc[:, i] if is_needed(name) else None for i, name in enumerate(names)]
    # A named index is kept as a column, unless a column has its name already.
    index = [str(name) for name in frame.index.names]
    if any(name is not None for name in frame.index.names) and not set(index) & set(names):
        names += [
            name if given is not None else f"__index_level_{i}__"
            for i, (name, given) in enumerate(zip(index, frame.index.names, strict=True))
        ]
        columns += [frame.index.get_level_values(i).to_series() for i in range(frame.index.nlevels)]
    arrays = [
        pa.nulls(len(frame)) if column is None else _of_series(column, name)
        for column, name in zip(columns, names, strict=True)
    ]
    try:
        return pa.table(arrays, names=names) if names else pa.table({})
    except REFUSALS as error:
        raise DataError(f"A column name is not valid Unicode ({_first_line(error)}). Rename that column.") from error


def _of_series(column: Any, name: str) -> pa.ChunkedArray:
    """Return a pandas column as an Arrow array; types that Arrow lacks are converted without loss."""
    try:
        kind = type(column.dtype).__name__
        if kind == "SparseDtype":
            column = column.sparse.to_dense()
        elif kind == "PeriodDtype":
            column = column.dt.to_timestamp()
        elif kind == "IntervalDtype":
            column = column.astype(str).where(column.notna(), None)
        elif kind == "CategoricalDtype" and type(column.cat.categories.dtype).__name__ == "IntervalDtype":
            column = column.cat.rename_categories(column.cat.categories.astype(str))
        array = pa.array(column, from_pandas=True)
        return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])
    except REFUSALS as error:
        raise _not_convertible(name, error) from error


def _of_arrow(table: pa.Table, is_needed: Callable[[str], bool]) -> pa.Table:
    columns = [
        column if is_needed(name) else pa.nulls(table.num_rows)
        for name, column in zip(table.column_names, table.columns, strict=True)
    ]
    return pa.table(columns, names=table.column_names)


def _of_polars(frame: Any, is_needed: Callable[[str], bool]) -> pa.Table:
    columns = {}
    for name in frame.columns:
        try:
            if is_needed(name) and str(frame.schema[name]) == "Object":
                raise TypeError("Python objects have no Arrow type")
            columns[name] = frame.get_column(name).to_arrow() if is_needed(name) else pa.nulls(len(frame))
            pa.chunked_array([columns[name]]).validate()
        except REFUSALS as error:
            raise _not_convertible(name, error) from error
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # raised by Rust, and no subclass of Exception
                raise
            raise _not_convertible(name, error) from error
    return pa.table(columns)


def _unwritable_column(batch: pa.Table, error: Exception) -> DataError:
    """Return the error for the first column that cannot be written."""
    for name in batch.column_names:
        try:
            pq.write_table(batch.select([name]), pa.MockOutputStream())
        except REFUSALS as found:
            return _not_convertible(name, found)
    return DataError(f"The frame cannot be written as Parquet: {_first_line(error)}.")


def _not_convertible(name: str, error: BaseException) -> DataError:
    return DataError(
        f"Column {shown(name)} of the frame cannot be converted to Arrow and Parquet: {_first_line(error)}. Convert it to "
        f"one type that they have, or leave it out."
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return shown(lines[0]).strip("'\"").rstrip(".") if lines else type(error).__name__
