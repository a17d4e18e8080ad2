"""DuckDB reads a published table by scans that never wait for Python while they keep it."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from emberharmony import open_result
from emberharmony.errors import EmberharmonyError
from emberharmony.published.duckdb_dataset import DuckDBDataset
from tests.published import publish

ROWS = pa.table({"a": pa.array(np.arange(400, dtype=np.float32)), "b": pa.array(np.ones(400, np.float32))})


@pytest.fixture
def table(tmp_path):
    publish(tmp_path, {"train": ROWS}, features=["a", "b"], part_rows=20)
    return open_result(tmp_path).features()


def test_rows_are_those_of_the_table(table):
    dataset = DuckDBDataset.of(table.dataset())
    assert dataset.scanner().to_reader().read_all().equals(table.to_arrow())
    chosen = dataset.scanner(columns=["b", "split"], filter=ds.field("a") >= 390)
    assert chosen.to_reader().schema.names == ["b", "split"]
    assert chosen.to_reader().read_all().equals(table.to_arrow(["b", "split"]).slice(390))
    assert duckdb.from_arrow(dataset).aggregate("count(*), sum(a), max(split)").fetchall() == [(400, 79_800.0, "train")]


def test_duckdb_scans_by_it(table):
    """A reader of pyarrow's own scanner keeps Python while it waits: one of some 200 queries like this one hung."""
    scans = []

    class Connection:
        def from_arrow(self, dataset):
            scans.append(dataset.scanner(columns=["a"]))

    table.to_duckdb(Connection())
    assert [isinstance(scan, ds.Scanner) for scan in scans] == [False]
    assert table.to_duckdb().limit(3).fetchall() == [(0.0, 1.0, "train"), (1.0, 1.0, "train"), (2.0, 1.0, "train")]


def test_a_damaged_file_ends_the_query(table, tmp_path):
    for part in (tmp_path / "features/split=train").iterdir():
        part.write_bytes(bytes(part.stat().st_size))
    with pytest.raises((duckdb.Error, EmberharmonyError, pa.ArrowInvalid), match="magic bytes"):
        table.to_duckdb().aggregate("sum(a)").fetchall()
