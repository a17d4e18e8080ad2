"""The task that reads a chunk returns its rows in the job's order, with their numbers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.io.sources.registry import open_source
from emberharmony.io.sources.text_budget import TextBudget
from emberharmony.planning.chunks import Chunk
from tasks.chunk_read import chunk_read
from tests.jobs import write_table


def test_rows_of_a_range(tmp_path):
    x = np.random.default_rng(0).normal(size=30)
    path = write_table(pa.table({"x": x, "other": x}), tmp_path / "t.parquet", group_rows=7)
    rows = chunk_read.fn(open_source(ParquetSourceSpec(str(path))), Chunk(1, 10, 12), ["x"], None, TextBudget({}, 10**9))
    assert rows.column_names == ["row_number", "x"]
    np.testing.assert_array_equal(rows["row_number"], np.arange(10, 22))
    np.testing.assert_array_equal(rows["x"], x[10:22])
