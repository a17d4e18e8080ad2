"""The report of a run is in its result: in a bucket, and beside tables of BigQuery and Delta Lake."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from emberharmony.io.store.address import child_address
from flows.cli.report import save_report
from flows.config.job import parse_job
from flows.run import run
from tests.jobs import small_table, write_table


@pytest.fixture(autouse=True)
def _with_reports(monkeypatch):
    monkeypatch.delenv("EMBERHARMONY_REPORT", raising=False)


def page_of(sink: dict[str, Any], folder: Path) -> str:
    """The report of 300 rows in that sink, as `emberharmony report` copies it."""
    job = {
        "source": {"path": str(write_table(small_table(300), folder / "table.parquet"))},
        "sink": sink,
        "columns": {"time": "t", "target": "y", "drop": ["name"]},
        "windows": {"size": 3, "strides": [1]},
        "runtime": {"engine": "local", "backend": "numpy", "chunk_rows": 100},
    }
    run(parse_job(job))
    page = folder / "page.html"
    save_report(sink["path"], version=None, output=page, show=False)
    return page.read_text(encoding="utf-8")


def assert_whole(page: str) -> None:
    assert page.rstrip().endswith("</html>")
    assert re.search(r"300\b.*rows", page)
    assert "Time and memory" in page
    assert re.search(r"<td[^>]*>\d{1,3}(,\d{3})?(\.\d+)? [MG]iB</td>", page), "the memory of each stage"


@pytest.mark.xdist_group("stores")
@pytest.mark.parametrize("kind", ["parquet", "delta"])
def test_in_a_bucket(s3, tmp_path, kind):
    assert_whole(page_of({"type": kind, "path": child_address(s3, "features")}, tmp_path))


@pytest.mark.xdist_group("bigquery-sink")
def test_beside_tables_of_bigquery(connection, dataset, tmp_path):
    sink = {"type": "bigquery", "path": str(tmp_path / "out"), "dataset": dataset}
    assert_whole(page_of({**sink, "connection": dataclasses.asdict(connection)}, tmp_path))
