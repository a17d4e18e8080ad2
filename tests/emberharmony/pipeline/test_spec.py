"""The spec of a job: JSON and back, and a fingerprint of all that decides the result."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from emberharmony.features.columns import ColumnSpec
from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.pca import PCASpec
from emberharmony.pipeline.spec import JOBS, PipelineSpec
from emberharmony.splits import SplitSpec
from emberharmony.windows import WindowSpec

SPEC = PipelineSpec(
    ParquetSourceSpec("t.parquet"),
    columns=ColumnSpec(time="t", target="y", drop=("a",)),
    split=SplitSpec(gap=dt.timedelta(hours=1)),
    windows=WindowSpec(7, (1, 2)),
)


def test_json_and_back():
    assert PipelineSpec.from_json(SPEC.to_json()) == SPEC
    query = replace(SPEC, source=BigQuerySourceSpec(query="SELECT 1", parameters={"d": dt.date(2026, 1, 2)}))
    assert PipelineSpec.from_json(query.to_json()) == query


@pytest.mark.parametrize(
    "change",
    [
        {"columns": ColumnSpec(time="t")},
        {"split": SplitSpec(fractions=(0.7, 0.2, 0.1))},
        {"windows": WindowSpec(7, (1, 3))},
        {"pca": PCASpec(components=3)},
        {"kind": "fit"},
        {"state": "0123"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_decides_the_result_is_in_the_fingerprint(change):
    assert replace(SPEC, **change).fingerprint({"n": 1}) != SPEC.fingerprint({"n": 1})


def test_where_the_table_lies_does_not_decide_the_result_but_what_it_holds():
    moved = replace(SPEC, source=ParquetSourceSpec("elsewhere/t.parquet"))
    assert moved.fingerprint({"n": 1}) == SPEC.fingerprint({"n": 1})
    assert SPEC.fingerprint({"n": 2}) != SPEC.fingerprint({"n": 1})


def test_the_split_follows_from_the_order_of_the_rows():
    assert SPEC.split_method == "temporal"
    assert replace(SPEC, columns=ColumnSpec()).split_method == "sequential"
    table = BigQuerySourceSpec(table="project.d.t")
    assert replace(SPEC, columns=ColumnSpec(), source=table).split_method == "random"
    assert replace(SPEC, split=SplitSpec("hash", keys=("k",))).split_method == "hash"


def test_kinds_of_jobs_differ_in_splits_and_in_what_they_publish():
    assert JOBS["extract"].publishes_rows
    assert not JOBS["fit"].publishes_rows
    assert JOBS["apply"].splits == ("apply",)
    assert [name for name, kind in JOBS.items() if not kind.fits] == ["apply"]
