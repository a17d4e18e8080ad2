"""Frames of a notebook as Parquet, which is what jobs read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from emberharmony.errors import DataError
from emberharmony.io.bigquery.failures import google_errors, raise_explained
from emberharmony.messages import listed


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
        raise DataError(f"The frame has more than one column of the name {listed(twice)}; rename all but one.")
    try:
        # A named index is a column that pandas keeps apart; an unnamed one says nothing, nor one that is named like a column.
        named = any(name is not None for name in frame.index.names)
        taken = any(str(name) in names for name in frame.index.names)
        return pa.Table.from_pandas(frame, preserve_index=named and not taken)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"The frame does not become a table: {error}. Give that column one type.") from error
