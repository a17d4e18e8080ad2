"""The engine on Ray: what it starts here, and what it says of a cluster that it cannot use. No Ray runs in these tests."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from types import ModuleType

import pytest

from emberharmony.errors import BackendUnavailableError, TerminalError
from flows.config.runtime import Runtime
from flows.engines import ray as room
from flows.engines.ray import Ray


@pytest.fixture
def runners(monkeypatch):
    """Stands for prefect_ray: the arguments of the runners that are started, and the error that they raise."""
    module = ModuleType("prefect_ray")
    module.started, module.error = [], None

    @contextmanager
    def runner(**arguments):
        module.started.append(arguments)
        if module.error:
            raise module.error
        yield "runner"

    module.RayTaskRunner = runner
    monkeypatch.setitem(sys.modules, "prefect_ray", module)
    return module


def test_a_cluster_of_this_host_has_a_core_for_each_worker(runners):
    with Ray().runner(3, None) as runner:
        assert runner == "runner"
    (arguments,) = runners.started
    assert arguments["init_kwargs"]["num_cpus"] == 3
    assert not arguments["init_kwargs"]["include_dashboard"]


def test_an_address_is_used_as_it_is(runners, monkeypatch):
    checked = []
    monkeypatch.setattr(room, "check_ray", checked.append)
    for address in ("auto", "ray://h:10001"):
        with Ray().runner(3, address):
            pass
    assert runners.started == [{"address": "auto"}, {"address": "ray://h:10001"}]
    assert checked == ["ray://h:10001"]


@pytest.mark.parametrize("error", [ConnectionError("gone"), RuntimeError("Version mismatch: 2.9 and 2.10"), ValueError("no")])
def test_a_cluster_that_ray_cannot_use(runners, error):
    runners.error = error
    with pytest.raises(TerminalError, match=rf"runtime.address is 'auto'.*{error}"), Ray().runner(1, "auto"):
        pytest.fail("the cluster is used")


def test_a_cluster_that_does_not_start(runners):
    runners.error = OSError(28, "No space left on device")
    with pytest.raises(TerminalError, match=r"`engine: ray` cannot start .*No space left"), Ray().runner(1, None):
        pytest.fail("the cluster runs")


def test_a_worker_runs_one_task_at_a_time():
    assert not Ray().overlaps(Runtime(engine="ray"))


def test_without_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "prefect_ray", None)
    with pytest.raises(BackendUnavailableError, match=r"Install emberharmony\[ray\]"), Ray().runner(1, None):
        pytest.fail("there is no Ray")
