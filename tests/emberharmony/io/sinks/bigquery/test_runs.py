"""The table of runs: its line holds what its columns say."""

from __future__ import annotations

import datetime as dt
import json

from emberharmony.io.bigquery.identifiers import TableName
from emberharmony.io.sinks.bigquery.runs import PublishedRun, line_of, runs_table

NAME = TableName("my-project", "air", "runs")
RUN = PublishedRun(
    fingerprint="0123456789abcdef",
    source_rows=30,
    rows={"train": 24, "test": 6},
    windows={"1": {"train": 20}},
    features=7,
    config={"windows": {"size": 5}, "at": dt.date(2026, 1, 31)},
    state="/results/state",
    version="0.1.0",
    drift={"x": {"psi": 0.25}},
)


def test_a_line_has_every_column_and_no_other():
    table = runs_table(NAME, {"team": "air"})
    assert str(table.reference) == str(NAME)
    assert table.labels == {"team": "air"}
    assert [field.name for field in table.schema] == list(line_of(RUN, [NAME], "append"))
    assert all(field.description for field in table.schema)


def test_a_line_says_what_was_published():
    before = dt.datetime.now(dt.UTC)
    line = line_of(RUN, [NAME, TableName("my-project", "air", "features")], "append")
    assert before <= dt.datetime.fromisoformat(line["published_at"]) <= dt.datetime.now(dt.UTC)
    assert line["run_id"] == line["fingerprint"] == RUN.fingerprint
    texts = {name: json.loads(line[name]) for name in ("rows", "windows", "tables", "config", "drift")}
    assert texts == {
        "rows": {"train": 24, "test": 6},
        "windows": {"1": {"train": 20}},
        "tables": ["my-project.air.runs", "my-project.air.features"],
        "config": {"windows": {"size": 5}, "at": "2026-01-31"},
        "drift": {"x": {"psi": 0.25}},
    }
    assert (line["source_rows"], line["features"], line["write_disposition"]) == (30, 7, "append")
