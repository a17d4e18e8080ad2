"""Settings of the sink of Delta tables."""

from __future__ import annotations

import pytest

from emberharmony.errors import PlanError
from emberharmony.io.sinks.delta.spec import DeltaSinkSpec
from flows.config.job import parse_job


def test_a_table_is_replaced_and_partitioned_by_split_unless_a_job_says_otherwise():
    spec = DeltaSinkSpec("out")
    assert (spec.type, spec.write_disposition, spec.mode, spec.keeps_rows) == ("delta", "replace", "private", False)
    assert (spec.partition_columns, spec.partition_values("test")) == (["split"], {"split": "test"})


def test_a_job_names_partitions():
    job = parse_job(
        {
            "source": {"path": "t.parquet"},
            "sink": {"type": "delta", "path": "out", "partition": {"night": "2026-11-28", "region": "eu"}},
        }
    )
    assert job.sink.partition_columns == ["night", "region", "split"]
    assert job.sink.partition_values("train") == {"night": "2026-11-28", "region": "eu", "split": "train"}


@pytest.mark.parametrize(
    ("partition", "said"),
    [
        ({"Split": "x"}, "other than 'split'"),
        ({"a b": "x"}, "letters, digits and underscores"),
        ({"night": "28/11"}, "folder's name"),
        ({"night": ""}, "folder's name"),
        ({"night": ".."}, "folder's name"),
        ({"night": "x", "Night": "y"}, "names a column twice"),
    ],
)
def test_partitions_that_cannot_be_folders_are_refused(partition, said):
    with pytest.raises(ValueError, match=said):
        DeltaSinkSpec("out", partition=partition)


@pytest.mark.parametrize("sink", [{"path": ""}, {"path": "out", "write_disposition": "fail"}, {"path": "out", "dataset": "x"}])
def test_what_is_no_sink_is_refused_with_the_job(sink):
    with pytest.raises(PlanError, match="sink"):
        parse_job({"source": {"path": "t.parquet"}, "sink": {"type": "delta"} | sink})
