"""A job within a flow run of a deployment publishes where its result outlives the flow run."""

from __future__ import annotations

from uuid import uuid4

import pytest
from prefect.logging import disable_run_logger

from emberharmony.errors import PlanError
from flows.config.job import parse_job
from flows.prefect.flow_run import check_sink_outlives_flow_run, run_in_flow
from tests.faults.victims import small_job


def test_a_deployment_does_not_publish_into_a_working_directory(tmp_path, monkeypatch):
    job = parse_job(small_job(tmp_path) | {"sink": {"path": "data/out"}})
    monkeypatch.setattr("prefect.runtime.deployment.id", uuid4(), raising=False)
    told = []
    monkeypatch.setattr("flows.prefect.events.emit_event", lambda event, **_: told.append(event))
    refused = r"sink\.path is data/out, relative to the working directory .* gs://BUCKET"
    with disable_run_logger(), pytest.raises(PlanError, match=refused):
        run_in_flow(job, overwrite=False)
    assert told == ["emberharmony.refused"]


@pytest.mark.parametrize("sink", ["/data/out", "s3://bucket/out?region=eu-west-1", "gs://bucket", "file:///data/out"])
def test_addresses_and_absolute_paths_are_taken(sink):
    check_sink_outlives_flow_run(sink)
