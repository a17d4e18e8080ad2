"""The engine of worker pools: what it needs is asked for before a server is started."""

from __future__ import annotations

import pytest

from emberharmony.errors import PlanError, TerminalError
from flows.config.job import parse_job
from flows.config.runtime import Runtime
from flows.engines.pools import Pools
from tests.faults.victims import small_job


def test_pools_have_to_be_named(tmp_path):
    with pytest.raises(PlanError, match=r"needs `pools`: name them, such as `pools: \{cpu: 2, gpu: 1\}`"):
        parse_job(small_job(tmp_path, runtime={"engine": "pools"}))
    job = parse_job(small_job(tmp_path, runtime={"engine": "pools", "pools": {"cpu": 2}}))
    assert job.is_spread
    assert isinstance(job.engine, Pools)


@pytest.mark.parametrize("number", [0, -1])
def test_a_pool_takes_at_least_one_shard(tmp_path, number):
    with pytest.raises(PlanError, match="pools"):
        parse_job(small_job(tmp_path, runtime={"engine": "pools", "pools": {"cpu": number}}))


@pytest.mark.parametrize("configured", [False, True])
def test_a_server_has_to_be_configured(monkeypatch, configured):
    monkeypatch.setattr("flows.prefect.server.is_configured", lambda: configured)
    if configured:
        Pools().check_available(Runtime())
        return
    with pytest.raises(TerminalError, match=r"none is configured\. Set PREFECT_API_URL"):
        Pools().check_available(Runtime())
