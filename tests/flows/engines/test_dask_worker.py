"""Worker processes of a Dask cluster: their logging is set up; they leave Ctrl-C to their run, and log nothing at its end."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from flows.engines.cluster_logs import logging_until_closed
from flows.engines.dask import DASK_SETTINGS, dask_runner, local_cluster

if TYPE_CHECKING:
    from distributed import LocalCluster

pytestmark = [
    pytest.mark.filterwarnings("default"),  # Dask's own
    pytest.mark.xdist_group("prefect-engines"),  # where other tests have imported Dask
]


def speak(text: str) -> None:
    for name in ("distributed.worker", "distributed.comm", "tornado.application", "asyncio"):
        logging.getLogger(name).error(text)


def test_a_worker_ignores_ctrl_c_and_is_silent_at_the_end(capfd, monkeypatch):
    from flows.engines.dask_worker import EndsWithItsRun

    # Once a run was started in this process, Prefect's console says nothing, and `asyncio` has no other handler.
    monkeypatch.delenv("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", raising=False)
    with dask_runner(1, None) as runner:
        client = runner.client
        (worker,) = client.run(os.getpid).values()
        os.kill(worker, signal.SIGINT)
        client.run(speak, "at work")
        (plugin,) = client.run(lambda dask_worker: dask_worker.plugins[EndsWithItsRun.name]).values()
        plugin._logs.close()  # as at the end of the block
        client.run(speak, "after the end")
        speak("after the end")
        assert list(client.run(os.getpid).values()) == [worker], "it lives"
    written = capfd.readouterr().err
    assert written.count("at work") == 4
    assert "after the end" not in written


def test_the_plugin_travels_and_prepares_the_process(monkeypatch):
    from distributed.protocol.pickle import dumps, loads

    from flows.engines import dask_worker

    handler, prepared = signal.getsignal(signal.SIGINT), []
    monkeypatch.setattr(dask_worker, "log_until_closed", lambda *arguments: prepared.append(arguments))
    with logging_until_closed() as logs:
        loads(dumps(dask_worker.EndsWithItsRun(logs))).setup(None)
    assert signal.signal(signal.SIGINT, handler) == signal.SIG_IGN
    assert prepared == [(logs, *dask_worker.LOGGERS)]


ELSEWHERE = """
import pickle, sys
sys.modules["flows"] = sys.modules["emberharmony"] = sys.modules["prefect"] = None  # none of them can be imported
pickle.load(sys.stdin.buffer).setup(None)
"""


def has_set_up_logging() -> bool:
    from prefect.logging import configuration

    return bool(configuration.PROCESS_LOGGING_CONFIG)


@contextmanager
def shared_cluster() -> Iterator[LocalCluster]:
    """A cluster of one worker, at an address."""
    import dask
    from distributed import LocalCluster

    with dask.config.set(DASK_SETTINGS), LocalCluster(**local_cluster(1)) as cluster:
        yield cluster


def plugins_of_runs(cluster: LocalCluster) -> list[bytes]:
    return [plugin for name, plugin in cluster.scheduler.worker_plugins.items() if name.startswith("emberharmony")]


def test_prefects_logging_is_set_up_before_the_first_task():
    """Two tasks that set it up at once waited for each other for ever."""
    with dask_runner(2, None, 3) as runner:
        assert list(runner.client.run(has_set_up_logging).values()) == [True, True]


def test_so_it_is_at_an_address_also_for_workers_that_come_later():
    """The plugin travels by value, and is taken back: neither does other jobs' workers any harm."""
    with shared_cluster() as cluster:
        with dask_runner(1, cluster.scheduler_address) as runner:
            assert list(runner.client.run(has_set_up_logging).values()) == [True]
            cluster.scale(2)
            runner.client.wait_for_workers(2)
            assert list(runner.client.run(has_set_up_logging).values()) == [True, True]
            (plugin,) = plugins_of_runs(cluster)
            subprocess.run([sys.executable, "-c", ELSEWHERE], input=plugin, check=True)
        assert not plugins_of_runs(cluster)


def test_the_end_of_one_run_leaves_the_plugin_of_another():
    with shared_cluster() as cluster:
        with dask_runner(1, cluster.scheduler_address) as runner:
            with dask_runner(1, cluster.scheduler_address):
                assert len(plugins_of_runs(cluster)) == 2
            cluster.scale(2)
            runner.client.wait_for_workers(2)
            assert list(runner.client.run(has_set_up_logging).values()) == [True, True]
        assert not plugins_of_runs(cluster)
