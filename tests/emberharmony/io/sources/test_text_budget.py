"""Texts that do not keep to the plan: told, or refused by name while they are read."""

from __future__ import annotations

import logging

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import DataError
from emberharmony.io.sources import text_budget as module
from emberharmony.io.sources.text_budget import TextBudget
from emberharmony.planning.chunks import Chunk
from tests.jobs import run_small

CHUNK = Chunk(3, 600, 200)
PIECES = [pa.table({"s": ["short"] * 100, "x": range(100)}), pa.table({"s": ["x" * 1_000] * 100, "x": range(100)})]


@pytest.fixture(autouse=True)
def _no_slack(monkeypatch):
    monkeypatch.setattr(module, "_SLACK_BYTES", 1_000)


def test_texts_that_keep_to_the_plan(caplog):
    budget = TextBudget({"s": 600.0, "other": 1.0}, 0)
    assert list(budget.metered(PIECES, CHUNK, "t.parquet")) == PIECES
    assert not caplog.records


def test_more_than_planned_where_memory_is_left(caplog):
    with caplog.at_level(logging.WARNING):
        assert list(TextBudget({"s": 16.0}, 10**6).metered([*PIECES, *PIECES], CHUNK, "t.parquet"))
    (record,) = caplog.records
    assert "column 's' in chunk 3" in record.getMessage()
    assert "within what runtime.max_memory_gb allows" in record.getMessage()


def test_more_than_there_is_memory_for():
    metered = TextBudget({"s": 16.0}, 10_000).metered(PIECES, CHUNK, "t.parquet")
    assert next(metered) is PIECES[0]
    with pytest.raises(DataError, match=r"column 's' in chunk 3 \(rows 600 to 800\) of t\.parquet take .* Raise it, lower"):
        next(metered)


@pytest.mark.parametrize(("max_memory_gb", "refused"), [(0.5, True), (8.0, False)])
def test_a_row_group_with_its_long_texts_at_the_end(tmp_path, caplog, monkeypatch, max_memory_gb, refused):
    """Its footer tells what all of its rows take together: too little for the last chunk."""
    n_rows = 20_000
    lengths = np.where(np.arange(n_rows) < 19_000, 1, 40_000)
    texts = pa.array([f"{i:05}" * max(int(n) // 5, 1) for i, n in enumerate(lengths)])
    table = pa.table({"t": pa.array(range(n_rows), pa.timestamp("s")), "x": np.arange(n_rows) / 7, "s": texts})
    pq.write_table(table, tmp_path / "t.parquet", use_dictionary=False)
    job = {
        "columns": {"time": "t", "passthrough": ["s"]},
        "windows": {"strides": []},
        "runtime": {"max_memory_gb": max_memory_gb, "chunk_rows": 1_000},
    }
    if not refused:
        assert run_small(tmp_path / "t.parquet", tmp_path / "out", **job).manifest["source_rows"] == n_rows
        return
    monkeypatch.setattr("emberharmony.planning.memory.MemoryPlan.spare_bytes", 0)
    # Not what the tests before this one have left in this process.
    monkeypatch.setattr("emberharmony.pipeline.plan.resident_bytes", lambda: 200 * 2**20)
    with pytest.raises(DataError, match="Strings of column 's' in chunk 19"):
        run_small(tmp_path / "t.parquet", tmp_path / "out", **job)
