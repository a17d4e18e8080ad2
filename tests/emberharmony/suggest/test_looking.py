"""Names of tables, and samples of them."""

import numpy as np
import pytest

from emberharmony.io.sources.registry import open_source
from emberharmony.suggest.looking import look_at, sink_beside, source_lines, source_named
from tests.jobs import small_table, write_table


@pytest.mark.parametrize(
    ("table", "type_", "sink"),
    [
        ("flights.parquet", "parquet", "flights-result"),
        ("/data/a.b.c.parquet", "parquet", "/data/a.b.c-result"),
        ("my.data/x/", "parquet", "my.data/x-result"),
        ("data/**/*.parquet", "parquet", "data-result"),
        ("*.parquet", "parquet", "table-result"),
        ("s3://lake/sales/2024-*.parquet", "parquet", "sales-result"),
        ("my-project.sales.orders", "bigquery", "my-project.sales.orders-result"),
    ],
)
def test_names(table, type_, sink):
    assert source_named(table).type == type_
    assert sink_beside(table) == sink
    assert any(table in line for line in source_lines(table))


def test_a_small_table_is_read_whole(tmp_path):
    table = small_table(90)
    sample = look_at(open_source(source_named(str(write_table(table, tmp_path / "t", files=3, group_rows=10)))))
    assert sample.is_whole
    assert sample.rows["walk"].to_pylist() == table["walk"].to_pylist()


def test_of_a_large_table_a_few_places_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("emberharmony.suggest.looking.sample_rows", lambda row_bytes, n_columns: 20)
    write_table(small_table(90, order="sorted"), tmp_path / "t", files=3, group_rows=10)
    sample = look_at(open_source(source_named(str(tmp_path / "t"))))
    assert not sample.is_whole
    assert sample.n_rows == 90
    places = [int(text.as_py().split()[1]) for text in sample.rows["name"]]
    assert places == [first + i for first in (0, 30, 50, 80) for i in range(5)]
    assert np.all(np.diff(places) > 0)
