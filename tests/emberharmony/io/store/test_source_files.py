"""The files of a source and a result in a bucket keep apart; `test_local_places.py` has the cases of a disk."""

from __future__ import annotations

import pytest

from emberharmony.errors import PlanError
from emberharmony.io.store.address import child_address
from emberharmony.pipeline.execute import plan_job
from flows.config.job import parse_job
from tests.jobs import small_table, write_table
from tests.stores import memory_bucket, uploader


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """Address of a bucket in memory that has a table, `in/table`."""
    with memory_bucket() as address:
        uploader(address)(write_table(small_table(60), tmp_path_factory.mktemp("in") / "t.parquet"), "in/table")
        yield address


@pytest.mark.parametrize(
    ("source", "sink", "match"),
    [
        ("in", "in/out", r"sink.path is s3://memory/in/out, and source.path takes in what lies there"),
        ("in/**", "in/out", "takes in what lies there"),
        ("in/table", "in", r"The source s3://memory/in/table lies inside sink.path, s3://memory/in\."),
        ("in", "in", "lies inside sink.path"),
        ("in", "", "lies inside sink.path"),
    ],
)
def test_a_sink_and_a_source_within_each_other(bucket, source, sink, match):
    job = {
        "source": {"path": child_address(bucket, source)},
        "sink": {"path": child_address(bucket, sink) if sink else bucket},
    }
    with pytest.raises(PlanError, match=match):
        plan_job(parse_job(job | {"columns": {"time": "t"}, "runtime": {"engine": "local"}}))


@pytest.mark.parametrize(("source", "sink"), [("in/table", "in/out"), ("in/*", "out"), ("in", "in-other")])
def test_a_sink_beside_the_source(bucket, source, sink):
    job = {"source": {"path": child_address(bucket, source)}, "sink": {"path": child_address(bucket, sink)}}
    assert plan_job(parse_job(job | {"columns": {"time": "t"}, "runtime": {"engine": "local"}})).plan.n_rows == 60
