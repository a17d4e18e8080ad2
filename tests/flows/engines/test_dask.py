"""Dask clusters of a run: their workers come back, and are waited for."""

from __future__ import annotations

import time

import psutil
import pytest

from flows.config.runtime import Runtime
from flows.engines import dask as room
from flows.engines.dask import DASK_SETTINGS, Dask, dask_runner, local_cluster
from tests.faults.victims import wait_until

pytestmark = [
    pytest.mark.filterwarnings("default"),  # Dask's own
    pytest.mark.xdist_group("prefect-engines"),  # where other tests have imported Dask
]


def test_a_worker_that_dies_twice_comes_back_twice():
    """Dask looks 15 s after the first death, and by its own settings gives up a worker that just starts then."""
    import dask
    from distributed import LocalCluster

    with dask.config.set(DASK_SETTINGS), LocalCluster(**local_cluster(1) | {"silence_logs": "CRITICAL"}) as cluster:
        (nanny,) = cluster.workers.values()

        def worker() -> int | None:
            return nanny.pid if nanny.status.name == "running" and cluster.scheduler.workers else None

        first = worker()
        began = time.monotonic()
        psutil.Process(first).kill()
        wait_until(lambda: worker() not in (None, first))
        second = worker()
        time.sleep(max(0.0, began + 14.8 - time.monotonic()))
        psutil.Process(second).kill()
        wait_until(lambda: worker() not in (None, second))


def test_a_worker_does_several_chunks_at_a_time_if_it_is_started_here():
    """A cluster at an address has the threads that its owner gave it."""
    assert local_cluster(2, 3)["threads_per_worker"] == 3
    assert local_cluster(2)["threads_per_worker"] == 1
    assert Dask().overlaps(Runtime(engine="dask"))
    assert not Dask().overlaps(Runtime(engine="dask", address="tcp://there:8786"))


def test_a_cluster_without_a_worker_is_waited_for(monkeypatch, caplog):
    from distributed import LocalCluster

    monkeypatch.setattr(room, "CHECK_INTERVAL_S", 0.05)

    def told() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.name == room.__name__]

    with (
        LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as cluster,
        dask_runner(1, cluster.scheduler_address) as runner,
    ):
        wait_until(told)
        assert told()[0] == f"The Dask cluster at {cluster.scheduler_address} has no worker. This run waits for one."
        cluster.scale(1)
        wait_until(runner.client.nthreads)
        time.sleep(0.1)  # for what was just being said
        n_told = len(told())
        time.sleep(0.3)
        assert len(told()) == n_told
