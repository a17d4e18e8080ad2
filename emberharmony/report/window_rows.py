"""The feature rows of a window in a published result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from emberharmony.errors import DataError, PlanError
from emberharmony.features.columns import ROW_NUMBER, ColumnSpec
from emberharmony.features.kinds.categorical import strings
from emberharmony.io.manifest import check_windows
from emberharmony.io.store.opening import result_at
from emberharmony.io.store.snapshot import Snapshot
from emberharmony.messages import count_of
from emberharmony.steps.order import JobOrder
from emberharmony.typing import IntArray


@dataclass(frozen=True)
class WindowRows:
    """The feature rows of a window, in order."""

    split: str
    start: int  # number of its first row in the series of the split
    rows: pa.Table  # row_number, carried columns, features


@dataclass(frozen=True)
class WindowRecord:
    """A window as it is published: its keys, label and scores, by column."""

    split: str
    chunk: str  # name of its part
    values: dict[str, Any]


def rows_of_window(result: str | Path, *, stride: int, split: str, number: int, entity: Sequence[str] = ()) -> WindowRows:
    """Return the feature rows of a window, given its number among the windows of a stride and split, from 0.

    Only the parts that hold the rows are read. With an entity, the number counts the windows of that entity alone.

    Raises
    ------
    DataError
        If nothing is published at `result`, it has no feature rows, or the window begins before its slice.
    PlanError
        If there is no such window, stride, split or entity.
    """
    snapshot = open_windows(result)
    return rows_of_record(snapshot, window_record(snapshot, stride=stride, split=split, number=number, entity=entity))


def rows_of_record(snapshot: Snapshot, record: WindowRecord) -> WindowRows:
    """Return the feature rows of a published window.

    Raises
    ------
    DataError
        If it begins before its slice, so that the result does not hold all of its rows.
    """
    first_row = record.values["first_row"]
    found = _window_from(snapshot, record.split, first_row, chunk=record.chunk)
    if found is None:
        raise DataError(
            f"The window begins with row {first_row:,} of the source, before the slice of {snapshot.address}: the features of "
            f"that row are in the result of an earlier slice."
        )
    return found


def window_record(snapshot: Snapshot, *, stride: int, split: str, number: int, entity: Sequence[str] = ()) -> WindowRecord:
    """Return a published window, given its number among those of a stride and split, and perhaps of one entity.

    Parameters
    ----------
    snapshot : Snapshot
        The result.
    stride, split, number : int, str, int
        Which window, counted from 0.
    entity : sequence of str
        The entity's values, as texts, in the order of `columns.entity`; by default the windows of all are counted.

    Raises
    ------
    DataError
        If a part is damaged.
    PlanError
        If there is no such window, stride, split or entity.
    """
    manifest, address = snapshot.manifest, snapshot.address
    counts = manifest.strides.get(str(stride))
    if counts is None:
        raise PlanError(
            f"{address} has no windows of stride {stride}; it has strides {', '.join(manifest.strides) or 'none'}."
        )
    if split not in counts.windows:
        raise PlanError(f"{address} has no split {split!r}; it has {', '.join(counts.windows)}.")
    columns = _entity_columns(snapshot)
    if entity and len(entity) != len(columns):
        names = ", ".join(columns) or "none"
        raise PlanError(f"An entity is told by {len(columns)} values here (`columns.entity`: {names}), not by {len(entity)}.")
    n_windows = 0
    for part in _parts(snapshot, f"windows/stride={stride}/split={split}/"):
        places = _places_of(part.file, columns, entity) if entity else range(part.file.metadata.num_rows)
        if 0 <= number - n_windows < len(places):
            at = int(places[number - n_windows])
            return WindowRecord(split, part.chunk, _read([part.file], at, at + 1).to_pylist()[0])
        n_windows += len(places)
    of = f" of {', '.join(entity)}" if entity else ""
    raise PlanError(
        f"There is no window {number:,} of stride {stride} in the {split} split{of}: it has {n_windows:,}, numbered from 0."
    )


def _entity_columns(snapshot: Snapshot) -> tuple[str, ...]:
    found = snapshot.manifest.spec["columns"].get("entity") or ()
    return ColumnSpec(entity=found if isinstance(found, str) else tuple(found)).entities


def _places_of(part: pq.ParquetFile, columns: Sequence[str], entity: Sequence[str]) -> IntArray:
    """The rows of a part of windows that are of one entity."""
    rows = part.read([*columns])
    of_it = np.ones(rows.num_rows, bool)
    for name, value in zip(columns, entity, strict=True):
        of_it &= pc.fill_null(pc.equal(strings(rows[name]), value), value == "null").to_numpy()
    return np.flatnonzero(of_it)


def rows_from(result: str | Path, first_row: int) -> WindowRows:
    """Return the feature rows of the window that begins at a row number, which is the same for every stride.

    The row numbers of all parts up to it are read.

    Raises
    ------
    DataError
        If nothing is published at `result`, or it has no feature rows.
    PlanError
        If no window begins at that row.
    """
    snapshot = open_windows(result)
    for split in snapshot.manifest.rows:
        found = _window_from(snapshot, split, first_row)
        if found is not None:
            return found
    raise PlanError(f"No feature row of {result} has {ROW_NUMBER} {first_row:,}.")


def open_windows(result: str | Path) -> Snapshot:
    """Open a result that has windows.

    Raises
    ------
    DataError
        If nothing is published there, or it has none.
    """
    snapshot = result_at(result).snapshot()
    check_windows(snapshot.manifest, snapshot.address)
    return snapshot


def _window_from(snapshot: Snapshot, split: str, first_row: int, *, chunk: str | None = None) -> WindowRows | None:
    """The window that begins at a row number, if the split has that row; `chunk` names the only part that may hold it."""
    start, folder = 0, f"features/split={split}/"
    for part in _parts(snapshot, folder):
        place = _place_in(part.file, first_row) if chunk in (None, part.chunk) else None
        if place is not None:
            return _window_at(snapshot, split, start + place)
        start += part.file.metadata.num_rows
    return None


def _window_at(snapshot: Snapshot, split: str, start: int) -> WindowRows:
    manifest = snapshot.manifest
    size, n_rows = int(manifest.spec["windows"]["size"]), manifest.rows[split]
    if start + size > n_rows:
        raise PlanError(
            f"No window begins there: it is row {start:,} of {n_rows:,} in the {split} split, and windows have {size} rows."
        )
    rows = _read((part.file for part in _parts(snapshot, f"features/split={split}/")), start, start + size)
    ends = JobOrder.of_published(manifest.spec, rows.schema).borders(rows)
    if len(ends):
        raise PlanError(
            f"No window begins there: its series ends after {count_of(int(ends[0]), 'row')}, and windows have {size}."
        )
    return WindowRows(split, start, rows)


class _Part(NamedTuple):
    chunk: str  # name of the file, the same for all parts that a chunk has made
    file: pq.ParquetFile


def _parts(snapshot: Snapshot, folder: str) -> Iterator[_Part]:
    """Yield the parts in a folder of the result, in the order of their rows."""
    for file in snapshot.manifest.files_below(folder):
        try:
            yield _Part(file.name.removeprefix(folder), pq.ParquetFile(snapshot.open(file)))
        except pa.ArrowException as error:
            raise DataError(
                f"{snapshot.address}/{file.name} is damaged. Publish the result again with --overwrite."
            ) from error


def _place_in(part: pq.ParquetFile, row_number: int) -> int | None:
    """Return the position of a row number in a part, if the part holds it."""
    places = np.flatnonzero(part.read([ROW_NUMBER])[ROW_NUMBER].to_numpy() == row_number)
    return int(places[0]) if len(places) else None


def _read(parts: Iterable[pq.ParquetFile], start: int, stop: int) -> pa.Table:
    """Return rows ``[start, stop)`` of parts that follow one another, from the row groups that hold them."""
    found, first = [], 0
    for part in parts:
        for group in range(part.metadata.num_row_groups):
            last = first + part.metadata.row_group(group).num_rows
            if start < last and first < stop:
                found.append(part.read_row_group(group).slice(max(start - first, 0), min(stop, last) - max(start, first)))
            first = last
        if stop <= first:
            break
    return pa.concat_tables(found)
