"""What every engine says of itself before it is started."""

from __future__ import annotations

import pytest

from flows.config.runtime import Runtime
from flows.engines import base
from flows.engines.base import EngineKind, WorkerProcessKind


class Plain(EngineKind):
    """An engine that needs nothing."""

    name = "plain"

    def open(self, job):
        raise NotImplementedError


class OnWorkers(WorkerProcessKind):
    """An engine of worker processes."""

    name = "workers"

    def open(self, job):
        raise NotImplementedError

    def is_remote(self, runtime):
        return runtime.address is not None


def test_an_engine_is_its_own_choice():
    engine = Plain()
    assert engine.choose(None) == (engine, "runtime.engine is plain", "")
    assert engine.uses_prefect
    assert not engine.is_remote(Runtime())
    assert engine.overlaps(Runtime())
    assert engine.threads_of(Runtime(threads=3), 2) is None


def test_pools_are_for_the_engine_of_pools():
    with pytest.raises(ValueError, match="`pools` are for `engine: pools`"):
        Plain().check_settings(Runtime(engine="pools", pools={"cpu": 1}))
    Plain().check_settings(Runtime())


@pytest.mark.parametrize(
    ("settings", "workers", "expected"),
    [({}, 2, 4), ({}, 3, 2), ({}, 100, 1), ({"threads": 5}, 2, 5), ({"engine": "dask", "address": "tcp://h:1"}, 2, 1)],
)
def test_worker_processes_share_the_cores_of_this_host(monkeypatch, settings, workers, expected):
    monkeypatch.setattr(base, "available_cores", lambda: 8)
    assert OnWorkers().threads_of(Runtime(**settings), workers) == expected
