"""Samples of Parquet files."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.io.sources.parquet.sample import sample_rows
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.io.sources.parquet.table import ParquetTable


@pytest.mark.parametrize(
    ("n_rows", "expected"), [(1, [0]), (2, [0, 90_000]), (4, [0, 30_000, 60_000, 90_000]), (100_000, list(range(100_000)))]
)
def test_the_first_rows_of_groups_at_equal_distances(tmp_path, n_rows, expected):
    pq.write_table(pa.table({"x": range(100_000)}), tmp_path / "t.parquet", row_group_size=30_000)
    table = ParquetTable(ParquetSourceSpec(str(tmp_path / "t.parquet")))
    assert sample_rows(table, ["x"], n_rows)["x"].to_pylist() == expected


def test_a_part_of_one_large_group(tmp_path):
    pq.write_table(pa.table({"x": range(100_000)}), tmp_path / "t.parquet", row_group_size=100_000)
    table = ParquetTable(ParquetSourceSpec(str(tmp_path / "t.parquet")))
    assert sample_rows(table, ["x"], 20_000)["x"].to_pylist() == list(range(20_000))
