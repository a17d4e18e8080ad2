"""The tables of a run: their files, and what their columns are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from emberharmony.features.columns import ROW_NUMBER
from emberharmony.io.manifest import Manifest
from emberharmony.io.sinks.delta.places import table_of_windows
from emberharmony.io.store.base import FileRecord

if TYPE_CHECKING:
    from deltalake import Schema


@dataclass(frozen=True)
class OutputTable:
    """A table of a run, before its parts are read."""

    name: str
    files: tuple[FileRecord, ...]
    splits: tuple[str, ...]  # of the run, also those without rows
    descriptions: Mapping[str, str]
    description: str


def output_tables(manifest: Manifest) -> Iterator[OutputTable]:
    """Yield the tables of a run in the order in which they are committed."""
    size = manifest.spec["windows"]["size"]
    for stride, counts in manifest.strides.items():
        scores = {
            f"pc_{i}": f"Score on component {i}, which explains {share:.2%} of the variance"
            for i, share in enumerate(counts.explained_variance_ratio, start=1)
        }
        yield OutputTable(
            table_of_windows(stride),
            _files(manifest, f"windows/stride={stride}/"),
            tuple(counts.windows),
            {**manifest.window_columns, **scores},
            f"Windows of {size} rows, one every {stride}, as principal components. The run is in each commit's properties.",
        )
    yield OutputTable(
        "features",
        _files(manifest, "features/"),
        tuple(manifest.rows),
        {ROW_NUMBER: "Number of the row in the source's order", **manifest.descriptions},
        "Features, one row for each row of the source. The run is in each commit's properties.",
    )


def _files(manifest: Manifest, prefix: str) -> tuple[FileRecord, ...]:
    return tuple(file for file in manifest.registered if file.name.startswith(prefix))


def delta_schema(fields: Sequence[pa.Field], descriptions: Mapping[str, str] | None = None) -> Schema:
    """Return fields as a Delta schema; all of them may hold null, so that others can add rows without them.

    Parameters
    ----------
    fields : sequence of pyarrow.Field
        Columns, of types that `columns.stored_type` returns.
    descriptions : mapping, optional
        What columns are, by name.

    Examples
    --------
    >>> delta_schema([pa.field("x", pa.float32(), nullable=False)], {"x": "Scaled"}).fields
    [Field(x, PrimitiveType("float"), nullable=True, metadata={'comment': 'Scaled'})]
    """
    import deltalake

    schema = deltalake.Schema.from_arrow(pa.schema([pa.field(field.name, field.type) for field in fields]))
    comments = {name: {"comment": text} for name, text in (descriptions or {}).items()}
    described = [
        deltalake.Field(column.name, column.type, nullable=True, metadata=comments.get(column.name))
        for column in schema.fields
    ]
    return deltalake.Schema(described)
