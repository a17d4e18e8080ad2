"""A table, and the state that a job has fitted on it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tests.jobs import run_small, small_table, write_table
from tests.laws.test_apply import JOB


@pytest.fixture(scope="session")
def table() -> pa.Table:
    return small_table(600)


@pytest.fixture(scope="session")
def state(table: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published run, not to be written to."""
    folder = tmp_path_factory.mktemp("fitted")
    run_small(write_table(table, folder / "all.parquet", group_rows=200), folder / "run", **JOB)
    return folder / "run"
