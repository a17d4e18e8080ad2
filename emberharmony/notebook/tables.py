"""The tables of a notebook as sources of a job, and the results of a run as frames."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.types as pt

from emberharmony.errors import DataError, PlanError
from emberharmony.features.columns import ROW_NUMBER
from emberharmony.io.bigquery.connection import BigQueryConnection
from emberharmony.io.parts import read_part
from emberharmony.io.sources.base import SourceSpec
from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.io.sources.registry import open_source
from emberharmony.io.store.base import FileRecord
from emberharmony.messages import listed
from emberharmony.notebook.bigquery_frames import to_bigframe
from emberharmony.notebook.fitted import flat_rows
from emberharmony.notebook.frames import REFUSALS, batches_of, write_batches
from emberharmony.pipeline.plan import Resources, make_plan
from emberharmony.pipeline.run import Run
from emberharmony.pipeline.spec import PipelineSpec, pinned
from emberharmony.splits import SPLITS, SplitSpec
from emberharmony.windows import WindowSpec

if TYPE_CHECKING:
    import pandas as pd

NO_WINDOWS = WindowSpec(strides=())
_BIGQUERY_NAME = re.compile(r"[\w-]+(\.[\w$-]+){1,2}")


def named_source(name: str | os.PathLike[str], index_col: str | None, connection: BigQueryConnection) -> SourceSpec:
    """Return the source that a name stands for: Parquet files, or a table in BigQuery."""
    text = os.fspath(name)
    if Path(text).exists() or text.endswith(".parquet") or not _BIGQUERY_NAME.fullmatch(text):
        return ParquetSourceSpec(text)
    _require_bigframes()
    return BigQuerySourceSpec(table=text, key=index_col, connection=connection)


def _require_bigframes() -> None:
    # Not imported: that takes seconds, and the rows are read by the Storage Read API.
    if find_spec("bigframes") is None:
        raise ImportError(
            "Reading from BigQuery needs bigframes, which is not installed. Install it: pip install 'emberharmony[bigquery]'"
        )


def in_order(source: SourceSpec) -> SourceSpec:
    """Return the source if its rows have an order; raise a PlanError otherwise."""
    if not source.has_order:
        raise PlanError(
            f"Rows of {source} have no order of their own. Give `index_col`: a column of times, which orders them, or "
            f"of whole numbers, whose ranges become chunks."
        )
    return source


def rows_of(spec: PipelineSpec, resources: Resources) -> Iterator[pa.Table]:
    """Yield all columns of the table, chunk by chunk, in the order of time if rows have times, whatever their entity."""
    spec = replace(spec, columns=replace(spec.columns, entity=()), split=SplitSpec())
    plan = make_plan(pinned(spec), resources)
    source = open_source(plan.spec.source)
    for chunk in plan.chunks:
        yield source.read(chunk, plan.table.schema.names, time=spec.columns.time).drop_columns(ROW_NUMBER)


def written_frame(frame: Any, folder: Path, chunk_size: int, without: Sequence[str], limit: int | None) -> ParquetSourceSpec:
    """Write the rows of a frame, or the first `limit` of them, to a file, and return the file as a source."""
    path = folder / "frame.parquet"
    if not write_batches(batches_of(frame, chunk_size, without=without), path, limit=limit):
        raise DataError("The frame has no rows, so there is nothing to fit features on.")
    return ParquetSourceSpec(str(path))


def frame_chunks(frame: Any, columns: Sequence[str] | None, chunk_size: int) -> Iterator[pa.Table]:
    """Yield the rows of a frame, or some of its columns, chunk by chunk."""
    for rows in map(flat_rows, batches_of(frame, chunk_size)):
        unknown = sorted(set(columns or ()) - set(rows.column_names))
        if unknown:
            raise DataError(f"The frame does not have {listed(unknown)}. It has: {listed(rows.column_names)}.")
        yield rows.select(list(columns)) if columns else rows


def source_chunks(
    source: SourceSpec, columns: Sequence[str] | None, index_col: str | None, resources: Resources
) -> Iterator[pa.Table]:
    """Yield the rows of a source, or some of its columns, chunk by chunk."""
    if columns is not None:
        source = replace(source, columns=tuple(dict.fromkeys([*columns, *([index_col] if index_col else [])])))
    for rows in rows_of(PipelineSpec(source, windows=NO_WINDOWS), resources):
        yield rows.select(list(columns)) if columns else rows


def null_targets(run: Run) -> int:
    """Count the rows whose target is null."""
    if run.plan.roles.target is None:
        return 0
    return sum(read_part(run.store, record, [run.plan.roles.target]).column(0).null_count for record in _feature_files(run))


def check_splits(run: Run) -> None:
    """Refuse a split that was asked for and got no rows.

    Raises
    ------
    PlanError
        If there is one; the message names it.
    """
    keys = run.plan.spec.split_keys
    together = f" Rows of equal {listed(keys)} stay together." if keys else ""
    rows = run.fitted.rows
    for split, fraction in zip(SPLITS, run.plan.spec.split.fractions, strict=True):
        if fraction and not rows[split]:
            raise PlanError(
                f"The {split} split gets {fraction:g} of {sum(rows.values()):,} rows, which is no row.{together} Give "
                f"it a larger share (`fractions`), or the table more rows."
            )


def frame_of(run: Run, split: str, index_col: str | None, session: Any) -> pd.DataFrame:
    """Return the rows of a split as one frame: features, entity, target."""
    index = index_col or ROW_NUMBER
    target = [run.plan.roles.target] if run.plan.roles.target else []
    columns = [index, *run.fitted.preprocessing.feature_names, *run.plan.roles.entity, *target]
    files = [file for file in _feature_files(run) if f"/split={split}/" in file.name]
    parts = (read_part(run.store, file).select(columns) for file in files) if files else iter([_no_rows(run, columns)])
    frame: pd.DataFrame
    if session is not None:
        frame = to_bigframe(parts, session, index=[index])
        return frame
    rows = pa.concat_tables(parts)
    if pt.is_float16(rows.schema.field(index).type):  # which no index of pandas holds
        rows = rows.set_column(0, index, rows.column(0).cast(pa.float32()))
    try:
        frame = rows.to_pandas(split_blocks=True).set_index(index)
    except REFUSALS as error:
        kept = listed(filter(None, [index_col, *run.plan.roles.entity, run.plan.roles.target]))
        raise DataError(
            f"{kept}: no pandas DataFrame holds these values ({error}). Convert them, or leave them out."
        ) from error
    return frame


def _feature_files(run: Run) -> Iterator[FileRecord]:
    """Yield the feature parts of all splits, in the order of the chunks."""
    for receipt in run.receipts.all_of("featurize"):
        yield from (file for file in receipt.files if file.name.startswith("features/"))


def _no_rows(run: Run, columns: Sequence[str]) -> pa.Table:
    """Return a table of these columns without rows, for a split that was not asked for."""
    types = {name: pa.float32() for name in run.fitted.preprocessing.feature_names} | {ROW_NUMBER: pa.int64()}
    fields = [pa.field(name, types[name]) if name in types else run.plan.schema.field(name) for name in columns]
    return pa.schema(fields).empty_table()
