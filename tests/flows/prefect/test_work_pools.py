"""Pools that cannot take a shard are refused before the work begins. The server is a mock."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from prefect.exceptions import ObjectNotFound

from emberharmony.errors import TerminalError
from flows.config.job import parse_job
from flows.prefect.work_pools import check_pools
from tests.faults.victims import small_job

DEPLOYMENTS = {"shard/cpu": "cpu", "shard/gpu": "gpu", "shard/old": "gone", "shard/served": None}
PAUSED = {"cpu": False, "gpu": True}


class Server:
    def read_deployment_by_name(self, name):
        return SimpleNamespace(work_pool_name=self.found(DEPLOYMENTS, name))

    def read_work_pool(self, name):
        return SimpleNamespace(is_paused=self.found(PAUSED, name))

    @staticmethod
    def found(things, name):
        if name not in things:
            raise ObjectNotFound(Exception("404"))
        return things[name]


@pytest.fixture(autouse=True)
def server(monkeypatch):
    monkeypatch.setattr("flows.prefect.work_pools.get_client", lambda sync_client: nullcontext(Server()))


def test_pools_that_are_there():
    check_pools(["cpu", "served"])


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("apple", "shard/apple does not exist: run `prefect work-pool create apple --type process` and,"),
        ("old", "The work pool gone does not exist: run `prefect work-pool create gone --type process`."),
        ("gpu", "The work pool gpu is paused: run `prefect work-pool resume gpu`."),
    ],
)
def test_a_pool_that_cannot_work_is_told_with_the_command(tmp_path, name, fault):
    job = parse_job(small_job(tmp_path, runtime={"engine": "pools", "pools": {"cpu": 1, name: 1}}))
    with pytest.raises(TerminalError) as told, job.engine.open(job):
        pass
    assert fault in str(told.value)
    assert "cpu" not in str(told.value)
