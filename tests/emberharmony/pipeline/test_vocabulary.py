"""Categories of a small table are counted before its plan; those of a large one are not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from emberharmony.features.columns import ColumnSpec, assign_roles
from emberharmony.features.specs import FeatureSpecs
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.io.sources.registry import open_source
from emberharmony.pipeline import vocabulary
from emberharmony.pipeline.vocabulary import categorical_columns, vocabulary_bounds
from tests.jobs import write_table

RNG = np.random.default_rng(1)
TABLE = pa.table(
    {
        "few": RNG.choice(["a", "b", "c"], 500).tolist(),
        "many": [f"id {i}" for i in range(500)],
        "number": RNG.integers(0, 7, 500),
        "null": pa.nulls(500, pa.string()),
    }
)
COLUMNS = ColumnSpec(categorical=("number",))


@pytest.fixture
def source(tmp_path):
    return open_source(ParquetSourceSpec(str(write_table(TABLE, tmp_path / "t.parquet", group_rows=100))))


def test_columns_whose_categories_are_counted():
    assert categorical_columns(assign_roles(TABLE.schema, COLUMNS), FeatureSpecs()) == ["few", "many", "number", "null"]
    assert categorical_columns(assign_roles(TABLE.schema, ColumnSpec()), FeatureSpecs()) == ["few", "many", "null"]


@pytest.mark.parametrize("rows_at_once", [7, 100, 16_384])
@pytest.mark.parametrize("most", [5, 20, 1000])
def test_bounds_are_the_numbers_of_distinct_values(source, monkeypatch, most, rows_at_once):
    monkeypatch.setattr(vocabulary, "_ROWS_AT_ONCE", rows_at_once)
    names = ["few", "many", "number", "null"]
    distinct = {name: len({*TABLE[name].to_pylist()} - {None}) for name in names}
    found = vocabulary_bounds(source, source.describe(), names, max_categories=most)
    assert found == {name: min(n, most) for name, n in distinct.items()}


def test_a_large_table_is_not_read(source, monkeypatch):
    monkeypatch.setattr(vocabulary, "MAX_COUNTED_BYTES", 100)
    monkeypatch.setattr(type(source), "read", lambda *_, **__: pytest.fail("rows were read"))
    assert vocabulary_bounds(source, source.describe(), ["few"], max_categories=5) == {}
