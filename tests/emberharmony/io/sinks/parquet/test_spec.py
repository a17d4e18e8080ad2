"""Settings of the sink of files."""

from __future__ import annotations

import pytest

from emberharmony.errors import PlanError
from emberharmony.io.sinks.parquet.spec import ParquetSinkSpec
from flows.config.job import parse_job


def test_results_are_private_unless_a_job_says_otherwise():
    spec = ParquetSinkSpec("out")
    assert (spec.type, spec.path, spec.mode) == ("parquet", "out", "private")


@pytest.mark.parametrize(
    "sink", [{"path": "ftp://host/out"}, {"path": ""}, {"path": "out", "mode": "everybody"}, {"path": "out", "folder": "x"}]
)
def test_what_is_no_sink_is_refused_with_the_job(sink):
    with pytest.raises(PlanError, match="sink"):
        parse_job({"source": {"path": "t.parquet"}, "sink": sink})
