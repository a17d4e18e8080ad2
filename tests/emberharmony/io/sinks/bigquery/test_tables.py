"""A table to publish: what its columns are called, and that each row carries its split and its run."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from emberharmony.io.sinks.bigquery.tables import OutputTable, Part
from emberharmony.io.store.local import LocalStore


def test_own_columns_keep_their_names(tmp_path):
    """A feature may be called as a column of every table, in any case: BigQuery ignores it."""
    rows = pa.table({"row_number": [0, 1], "split": [0.5, 1.5], "Run_ID": [2.5, 3.5]})
    pq.write_table(rows, tmp_path / "part.parquet")
    descriptions = {"split": "a feature"}
    table = OutputTable(
        "features", (Part(LocalStore(tmp_path), "part.parquet", "test"),), {"test": 2}, run_id="abc", descriptions=descriptions
    )
    assert table.names == ["row_number", "split_2", "Run_ID_2", "split", "run_id"]
    assert table.clustering == ["split"]
    assert [field.name for field in table.fields()] == table.names
    assert {field.name: field.description for field in table.fields()}["split_2"] == "a feature"
    [first, _] = table.read(table.parts[0]).to_pylist()
    assert first == {"row_number": 0, "split_2": 0.5, "Run_ID_2": 2.5, "split": "test", "run_id": "abc"}
