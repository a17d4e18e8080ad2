"""The table `runs`: a line for each run that published its tables beside it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from emberharmony.io.bigquery.connection import library
from emberharmony.io.bigquery.identifiers import TableName


@dataclass(frozen=True)
class PublishedRun:
    """A run, as recorded in the table `runs`."""

    fingerprint: str  # the run's id
    source_rows: int
    rows: Mapping[str, int]  # by split
    windows: Mapping[str, Mapping[str, int]]  # by stride and split
    features: int
    config: Mapping[str, Any]
    state: str  # where the fitted state lies
    version: str
    drift: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # by column
    slice: str | None = None  # name


def runs_table(name: TableName, labels: Mapping[str, str]) -> Any:
    """Return the `Table` to create."""
    bigquery = library("google.cloud.bigquery")
    made = bigquery.Table(
        str(name), schema=[bigquery.SchemaField(name, kind, description=text) for name, kind, text in _COLUMNS]
    )
    made.description = "Every run that published here; a run's line is written last."
    made.labels = dict(labels)
    return made


def line_of(run: PublishedRun, tables: Sequence[TableName], write_disposition: str) -> dict[str, Any]:
    """Return the line of a run that is published now."""
    return {
        "published_at": dt.datetime.now(dt.UTC).isoformat(),
        "fingerprint": run.fingerprint,
        "version": run.version,
        "source_rows": run.source_rows,
        "features": run.features,
        "rows": json.dumps(dict(run.rows)),
        "windows": json.dumps({stride: dict(counts) for stride, counts in run.windows.items()}),
        "tables": json.dumps([str(table) for table in tables]),
        "write_disposition": write_disposition,
        "state": run.state,
        "config": json.dumps(run.config, default=str),
        "run_id": run.fingerprint,
        "drift": json.dumps({column: dict(moved) for column, moved in run.drift.items()}),
        "slice": run.slice,
    }


_COLUMNS: Final = (
    ("published_at", "TIMESTAMP", "When the run was published"),
    ("fingerprint", "STRING", "Hash of source, settings and version: equal for equal results"),
    ("version", "STRING", "Version of emberharmony"),
    ("source_rows", "INT64", "Rows of the source"),
    ("features", "INT64", "Number of features"),
    ("rows", "STRING", "Rows by split, as JSON"),
    ("windows", "STRING", "Windows by stride and split, as JSON"),
    ("tables", "STRING", "Tables that the run published, as JSON"),
    ("write_disposition", "STRING", "What became of rows that were there before"),
    ("state", "STRING", "Where the fitted state lies"),
    ("config", "STRING", "The run's settings, as JSON"),
    ("run_id", "STRING", "Id of the run, as in its rows"),
    ("drift", "STRING", "How far each column has moved from the training rows, as JSON; empty unless a state was applied"),
    ("slice", "STRING", "Name of the slice whose rows the run replaced; null unless it was run by slices"),
)
