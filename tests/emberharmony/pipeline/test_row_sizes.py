"""Sizes of a row: from metadata, and from counted categories if those would refuse a plan."""

from __future__ import annotations

import pyarrow as pa

from emberharmony.features.columns import assign_roles
from emberharmony.features.specs import CategorySpec
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.io.sources.registry import open_source
from emberharmony.pipeline.row_sizes import JobColumns, row_sizes
from emberharmony.pipeline.spec import PipelineSpec
from tests.jobs import write_table


def job_columns(tmp_path, fitted=None):
    table = pa.table({"x": [1.0] * 8, "n": pa.array([1] * 8, pa.int32()), "s": ["ab", "cd"] * 4, "flag": [True] * 8})
    spec = PipelineSpec(ParquetSourceSpec(str(write_table(table, tmp_path / "t.parquet"))), categories=CategorySpec(10))
    source = open_source(spec.source)
    described = source.describe()
    return JobColumns(spec, source, described, assign_roles(described.schema, spec.columns), fitted)


def test_features_of_every_kind_are_counted_at_most(tmp_path):
    job = job_columns(tmp_path)
    assert job.widths({}) == {"x": 1, "n": 1, "s": 12, "flag": 1}
    assert job.widths({"s": 2})["s"] == 4


def test_bytes_of_a_row(tmp_path):
    job = job_columns(tmp_path)
    sizes = row_sizes(job, job.widths({"s": 2}), in_order=True)
    assert sizes.n_features == 7
    assert sizes.n_numbers == 2  # booleans have no quantiles
    assert sizes.carried_bytes == 8
    assert sizes.read_bytes >= 8 + 4 + 2 + 1 / 8
    assert sizes.category_bytes > 16
    assert sizes.decoding_bytes == job.table.bytes_per_row["s"]
