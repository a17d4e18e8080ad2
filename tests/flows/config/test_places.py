"""Sources and sinks, told by their type."""

from __future__ import annotations

import pytest

from emberharmony.errors import PlanError
from flows.config.job import parse_job
from flows.config.places import kind_of_place


def test_parquet_is_the_default():
    job = parse_job({"source": {"path": "a"}, "sink": {"path": "b"}})
    assert (kind_of_place({}), job.source.type, job.sink.type, kind_of_place(job.sink)) == ("parquet",) * 4


def test_unknown_types():
    with pytest.raises(PlanError, match="csv"):
        parse_job({"source": {"type": "csv", "path": "a"}, "sink": {"path": "b"}})
