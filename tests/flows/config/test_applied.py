"""What a job that applies a state sets of the state's sections."""

from __future__ import annotations

import datetime as dt

import pytest

from emberharmony.errors import PlanError
from flows.config.job import ApplyJob, parse_job

JOB = {"source": {"path": "events"}, "sink": {"path": "out"}, "state": "fitted"}


def test_what_can_be_set():
    job = parse_job({**JOB, "windows": {"lookback": "2h"}, "columns": {"null_time": "drop"}}, model=ApplyJob)
    assert (job.windows.lookback, job.columns.null_time) == (dt.timedelta(hours=2), "drop")


@pytest.mark.parametrize("given", [{"windows": {"size": 3}}, {"columns": {"time": "t"}}])
def test_what_is_in_the_state(given):
    with pytest.raises(PlanError, match=r"size|time"):
        parse_job({**JOB, **given}, model=ApplyJob)
