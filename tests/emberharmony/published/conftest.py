"""One result for the tests of readers, on disk and in a bucket: several parts in each split, and windows of two strides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from emberharmony import open_result
from emberharmony.pipeline.execute import run_job
from emberharmony.published import PublishedResult
from flows.config.job import parse_job
from flows.engines.local import LocalEngine
from tests.jobs import small_table, write_table
from tests.stores import s3_bucket


def publish(table: Path, sink: str) -> None:
    job = {
        "source": {"path": str(table)},
        "sink": {"path": sink},
        "columns": {"time": "t", "target": "y", "passthrough": ["name"]},
        "windows": {"size": 3, "strides": [1, 3]},
        "runtime": {"engine": "local", "backend": "numpy", "workers": 1, "chunk_rows": 150},
    }
    run_job(parse_job(job), LocalEngine(1))


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(small_table(1_200), tmp_path_factory.mktemp("readers") / "table.parquet", group_rows=200)


@pytest.fixture(scope="session")
def folder(table: Path) -> Path:
    publish(table, str(table.parent / "out"))
    return table.parent / "out"


@pytest.fixture(scope="session")
def result(folder: Path) -> PublishedResult:
    return open_result(folder)


@pytest.fixture(scope="session")
def in_a_bucket(table: Path, s3_endpoint: str) -> Iterator[PublishedResult]:
    with s3_bucket(s3_endpoint) as address:
        publish(table, address)
        yield open_result(address)
