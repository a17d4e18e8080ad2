"""One result for the tests of readers: several parts in each split, and windows of two strides."""

from __future__ import annotations

from pathlib import Path

import pytest

from emberharmony import open_result
from emberharmony.published import PublishedResult
from tests.jobs import run_small, small_table, write_table


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("readers")
    source = write_table(small_table(1_200), root / "table.parquet", group_rows=200)
    columns = {"time": "t", "target": "y", "passthrough": ["name"]}
    run_small(source, root / "out", columns=columns, windows={"size": 3, "strides": [1, 3]}, runtime={"chunk_rows": 150})
    return root / "out"


@pytest.fixture(scope="session")
def result(folder: Path) -> PublishedResult:
    return open_result(folder)
