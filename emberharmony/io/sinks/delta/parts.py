"""Parts as Delta's log names them: where they are, their partition, and statistics from their footers."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from emberharmony.arrow import is_text
from emberharmony.io.store.base import FileRecord, Store

_THREADS: Final = 8
_MAX_CHARS: Final = 256  # of a text among the statistics; of a column with a longer one there are none


@dataclass(frozen=True)
class TablePart:
    """A Parquet file of a Delta table."""

    path: str  # below the table
    n_bytes: int
    partition: Mapping[str, str]
    schema: pa.Schema
    statistics: Mapping[str, Any]  # as in Delta's log

    def add_action(self) -> Any:
        """Return the action that registers the file."""
        from deltalake.transaction import AddAction

        now_ms = int(time.time() * 1000)
        return AddAction(self.path, self.n_bytes, dict(self.partition), now_ms, True, json.dumps(self.statistics))


def read_parts(
    run: Store, files: Sequence[FileRecord], paths: Sequence[str], partitions: Sequence[Mapping[str, str]]
) -> list[TablePart]:
    """Return parts with what their footers say; of each file only the footer is read.

    Parameters
    ----------
    run : Store
        Where the files are.
    files : sequence of FileRecord
        The files.
    paths : sequence of str
        Where each file is below the table.
    partitions : sequence of mapping
        Values of the partition columns of each file.
    """

    def read(file: FileRecord, path: str, partition: Mapping[str, str]) -> TablePart:
        with run.open(file) as handle:
            footer = pq.read_metadata(handle)
        schema = footer.schema.to_arrow_schema().remove_metadata()
        return TablePart(path, file.n_bytes, partition, schema, statistics_of(footer, schema))

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="delta-footers") as pool:
        return list(pool.map(read, files, paths, partitions))


def statistics_of(footer: pq.FileMetaData, schema: pa.Schema) -> dict[str, Any]:
    """Return a file's statistics as Delta's log has them, of the columns of which every row group has some.

    Of floating-point columns there are no bounds: those of a footer leave NaN out, which some engines order last. Nor of
    decimals, which JSON does not hold exactly.
    """
    nulls, lows, highs = dict[str, int](), dict[str, Any](), dict[str, Any]()
    for position, field in _flat_columns(footer, schema):
        groups = [footer.row_group(group).column(position).statistics for group in range(footer.num_row_groups)]
        if not all(group is not None and group.has_null_count for group in groups):
            continue
        nulls[field.name] = sum(group.null_count for group in groups)
        bounds = _bounds([group for group in groups if group.num_values]) if _has_bounds(field.type) else None
        if bounds is not None:
            lows[field.name], highs[field.name] = bounds
    return {"numRecords": footer.num_rows, "minValues": lows, "maxValues": highs, "nullCount": nulls}


def _bounds(groups: Sequence[pq.Statistics]) -> tuple[Any, Any] | None:
    """Least and largest value of row groups as JSON; ``None`` where there is none, or JSON cannot hold it."""
    if not groups or not all(group.has_min_max for group in groups):
        return None
    try:
        low, high = min(group.min for group in groups), max(group.max for group in groups)
    except OverflowError:  # a time that Python has no type for
        return None
    if isinstance(low, str) and max(len(low), len(high)) > _MAX_CHARS:
        return None
    return _as_json(low), _as_json(high)


def _flat_columns(footer: pq.FileMetaData, schema: pa.Schema) -> Iterator[tuple[int, pa.Field]]:
    """Positions among the footer's columns, which are the leaves of nested ones, of the columns that are not nested."""
    names = {footer.schema.column(i).path: i for i in range(len(footer.schema))}
    for field in schema:
        if not pt.is_nested(field.type) and field.name in names:
            yield names[field.name], field


def _has_bounds(kind: pa.DataType) -> bool:
    return bool(pt.is_integer(kind) or is_text(kind) or pt.is_date(kind) or pt.is_timestamp(kind))


def _as_json(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        utc = value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
        return utc.isoformat("T", "microseconds") + ("Z" if value.tzinfo else "")
    return value.isoformat() if isinstance(value, dt.date) else value
