"""The feature rows of a window in a published result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emberharmony.errors import DataError, PlanError
from emberharmony.features.columns import ROW_NUMBER
from emberharmony.io.manifest import check_windows
from emberharmony.io.store.opening import result_at
from emberharmony.io.store.snapshot import Snapshot
from emberharmony.steps.order import JobOrder


@dataclass(frozen=True)
class WindowRows:
    """The feature rows of a window, in order."""

    split: str
    start: int  # number of its first row in the series of the split
    rows: pa.Table  # row_number, carried columns, features


def rows_of_window(result: str | Path, *, stride: int, split: str, number: int) -> WindowRows:
    """Return the feature rows of a window, given its number among the windows of a stride and split, from 0.

    Only the parts that hold the rows are read.

    Raises
    ------
    DataError
        If nothing is published at `result`, or it has no feature rows.
    PlanError
        If there is no such window, stride or split.
    """
    snapshot = _opened(result)
    manifest = snapshot.manifest
    counts = manifest.strides.get(str(stride))
    if counts is None:
        raise PlanError(f"{result} has no windows of stride {stride}; it has strides {', '.join(manifest.strides) or 'none'}.")
    if split not in counts.windows:
        raise PlanError(f"{result} has no split {split!r}; it has {', '.join(counts.windows)}.")
    if not 0 <= number < counts.windows[split]:
        raise PlanError(
            f"There is no window {number:,} of stride {stride} in the {split} split: it has {counts.windows[split]:,}, "
            f"numbered from 0."
        )
    for part in _parts(snapshot, f"windows/stride={stride}/split={split}/"):
        if number < part.file.metadata.num_rows:
            first_row = part.file.read(["first_row"]).column(0)[number].as_py()
            found = _window_from(snapshot, split, first_row, chunk=part.chunk)
            assert found is not None  # a window begins in the chunk that holds its first row
            return found
        number -= part.file.metadata.num_rows
    raise DataError(f"The windows of {result} are fewer than its manifest says. Publish the result again with --overwrite.")


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
    snapshot = _opened(result)
    for split in snapshot.manifest.rows:
        found = _window_from(snapshot, split, first_row)
        if found is not None:
            return found
    raise PlanError(f"No feature row of {result} has {ROW_NUMBER} {first_row:,}.")


def _opened(result: str | Path) -> Snapshot:
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
        raise PlanError(f"No window begins there: its series ends after {ends[0]} rows, and windows have {size}.")
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
    """Return rows ``[start, stop)`` of parts that follow one another."""
    found, first = [], 0
    for part in parts:
        last = first + part.metadata.num_rows
        if start < last:
            found.append(part.read().slice(max(start - first, 0), min(stop, last) - max(start, first)))
        first = last
        if stop <= last:
            break
    return pa.concat_tables(found)
