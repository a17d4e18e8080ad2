"""From a window back to its rows: their numbers, times, and places in the source's files."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from emberharmony.errors import EmberharmonyError, PlanError
from emberharmony.features.columns import ROW_NUMBER
from emberharmony.io.manifest import Manifest
from emberharmony.io.sources.capabilities import RowsInFiles
from emberharmony.io.sources.registry import open_source
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.report.explained_component import COMPONENT
from emberharmony.report.window_rows import open_windows, rows_of_record, window_record

_CHANGED: Final = "the source has changed since, or cannot be opened, so the places of these rows in its files are not known"
_FEW_SCORES: Final = 5


@dataclass(frozen=True)
class WindowRow:
    """A row of a window."""

    row_number: int
    """In the source, from 0."""
    time: str | None
    """ISO 8601; null in a job without a time column."""
    file: str | None
    """File of the source that holds it, if that is known."""
    row_in_file: int | None
    """Its place in that file, from 0."""


@dataclass(frozen=True)
class ExplainedWindow:
    """A published window."""

    stride: int
    split: str
    number: int
    """Among the windows of the stride and split, from 0; with an entity, among those of the entity."""
    entity: Mapping[str, Any]
    label: Any
    """The target of the window; null without one."""
    first_in_split: int
    """Place of its first row among those of the split, from 0."""
    rows: tuple[WindowRow, ...]
    scores: Mapping[str, float]
    source: str
    """Why the files of the rows are not known; empty if they are."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return asdict(self)

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield it as labels and texts."""
        yield "window", f"number {self.number:,} of stride {self.stride} in the {self.split} split, from 0"
        if self.entity:
            yield "entity", ", ".join(f"{name} {value}" for name, value in self.entity.items())
        if self.label is not None:
            yield "label", str(self.label)
        first = [f"{name} {score:.6g}" for name, score in [*self.scores.items()][:_FEW_SCORES]]
        yield (
            "scores",
            ", ".join(first) + (f" and {len(self.scores) - len(first)} more" if len(self.scores) > len(first) else ""),
        )
        yield "rows", f"{len(self.rows)}, the first of which is row {self.first_in_split:,} of the split"
        for row in self.rows:
            time = f", {row.time}" if row.time else ""
            place = f": row {row.row_in_file:,} of {row.file}" if row.file else ""
            yield "", f"row {row.row_number:,}{time}{place}"
        if self.source:
            yield "source", self.source


def explain_window(
    result: str | Path, *, stride: int | None, number: int, split: str | None = None, entity: Sequence[str] = ()
) -> ExplainedWindow:
    """Return where the rows of a window come from.

    Parameters
    ----------
    result : str or Path
        The result's place.
    stride : int, optional
        Stride of the window; may be left out if there is one.
    number : int
        Number of the window among those of its stride and split, from 0.
    split : str, optional
        Its split; may be left out if there is one.
    entity : sequence of str
        Values of `columns.entity`, as texts: then the number counts the windows of that entity.

    Raises
    ------
    DataError
        If there are no windows, or their rows lie before the slice.
    PlanError
        If there is no such window.
    """
    snapshot = open_windows(result)
    manifest = snapshot.manifest
    stride = stride if stride is not None else int(_only([*manifest.strides], "stride"))
    split = split if split is not None else _only([*manifest.rows], "split")
    record = window_record(snapshot, stride=stride, split=split, number=number, entity=entity)
    found = rows_of_record(snapshot, record)
    columns, values = manifest.spec["columns"], record.values
    entities = columns.get("entity") or ()
    numbers: list[int] = found.rows[ROW_NUMBER].to_pylist()
    time = columns.get("time")
    times = [_iso(value) for value in found.rows[time].to_pylist()] if time else [None] * len(numbers)
    places, why = _places(manifest, numbers)
    return ExplainedWindow(
        stride=stride,
        split=split,
        number=number,
        entity={name: _plain(values[name]) for name in ([entities] if isinstance(entities, str) else entities)},
        label=_plain(values.get(columns.get("target"))),
        first_in_split=found.start,
        rows=tuple(WindowRow(number, at, *place) for number, at, place in zip(numbers, times, places, strict=True)),
        scores={name: float(value) for name, value in values.items() if COMPONENT.fullmatch(name)},
        source=why,
    )


def _places(manifest: Manifest, numbers: Sequence[int]) -> tuple[list[tuple[str | None, int | None]], str]:
    """The files of rows, and why they are not known."""
    unknown: list[tuple[str | None, int | None]] = [(None, None)] * len(numbers)
    try:
        spec = PipelineSpec.from_json(dict(manifest.spec))
        source = open_source(spec.source)
        if not isinstance(source, RowsInFiles):
            return unknown, f"rows of {spec.source} lie in no files that this library reads"
        if spec.fingerprint(source.describe().identity) != manifest.fingerprint:
            return unknown, _CHANGED
        return [*source.files_of_rows(numbers)], ""
    except (EmberharmonyError, ValueError):  # a table that is gone, settings of another version
        return unknown, _CHANGED


def _only(names: Sequence[str], what: str) -> str:
    if len(names) != 1:
        raise PlanError(f"Name the {what} of the window with --{what}: {', '.join(names)}.")
    return names[0]


def _iso(value: Any) -> str | None:
    return None if value is None else value.isoformat() if isinstance(value, dt.date) else str(value)


def _plain(value: Any) -> Any:
    """A value that JSON can hold."""
    is_number = isinstance(value, (bool, int)) or (isinstance(value, float) and value == value and abs(value) != float("inf"))
    return value if value is None or is_number or isinstance(value, str) else _iso(value)
