"""Law 3 on Prefect: runs on threads and Dask are killed at twenty points each, by progress and at random times.

All runs share one server and one Dask cluster, as in production. Only the run is killed, and on Dask sometimes both worker
processes with it; otherwise the workers finish the task runs they have begun, while the next run has already started.
"""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.victims import (
    Cluster,
    contents,
    contents_of_published,
    dask_cluster,
    receipts,
    run,
    run_here,
    small_job,
    start,
    wait_until,
)

pytestmark = pytest.mark.xdist_group("prefect-killed")

N_EVENTS = 14
N_TIMES = 6
CHUNK_ROWS = 750
N_RECEIPTS = 15  # four for each of three chunks, one for the piece that is partitioned, and two for the fits

statuses: dict[str, list[int]] = {"threads": [], "dask": []}
"""Exit statuses of the runs that were to be killed, by engine."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("killed-engines")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with dask_cluster(2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def expected(folder) -> dict[str, str]:
    assert run(small_job(folder, sink="undisturbed", runtime={"chunk_rows": CHUNK_ROWS})) == 0
    return contents(folder / "undisturbed")


@pytest.fixture(scope="module")
def n_changes(folder, prefect_api) -> int:
    """How often a run on threads changes the file system."""
    told = folder / "changes"
    assert run(on_threads(folder, "threads"), api=prefect_api, told=told) == 0
    return int(told.read_text())


@pytest.fixture(scope="module")
def seconds(folder, prefect_api, cluster) -> dict[str, float]:
    """Duration of a run, by engine."""
    took = {}
    for job in (on_threads(folder, "timed-threads"), on_dask(folder, "timed-dask", cluster)):
        began = time.monotonic()
        assert run(job, api=prefect_api) == 0
        took[job["runtime"]["engine"]] = time.monotonic() - began
    return took


def on_threads(folder: Path, sink: str) -> dict[str, Any]:
    runtime = {"engine": "threads", "workers": 2, "granularity": "chunk", "chunk_rows": CHUNK_ROWS}
    return small_job(folder, sink=sink, runtime=runtime)


def on_dask(folder: Path, sink: str, cluster: Cluster) -> dict[str, Any]:
    job = on_threads(folder, sink)
    return job | {"runtime": job["runtime"] | {"engine": "dask", "address": cluster.address}}


def goes_on(job: dict[str, Any], point: int, status: int, api: str, expected: dict[str, str]) -> None:
    """A killed run leaves a whole result or none, and the next run, on any engine, completes it."""
    assert status in (-signal.SIGKILL, 0)  # the last points are at the end of the run, or after it
    sink, engine = Path(job["sink"]["path"]), job["runtime"]["engine"]
    statuses[engine].append(status)
    if (sink / "manifest.json").exists():
        assert contents_of_published(sink) == expected
    if point % 6 == 0:
        assert run(job, api=api) == 0
    else:
        run_here(job | {"runtime": job["runtime"] | {"engine": "local", "address": None}})
    assert contents(sink) == expected
    shutil.rmtree(sink)


@pytest.mark.parametrize("point", range(N_EVENTS))
def test_threads_killed_at_any_change_of_the_file_system(expected, n_changes, folder, prefect_api, point):
    job = on_threads(folder, f"threads-{point}")
    status = run(job, api=prefect_api, die_at=1 + (n_changes - 1) * point // (N_EVENTS - 1))
    goes_on(job, point, status, prefect_api, expected)


@pytest.mark.parametrize("point", range(N_EVENTS))
def test_dask_killed_when_it_has_done_so_much(expected, folder, prefect_api, cluster, point):
    job = on_dask(folder, f"dask-{point}", cluster)
    enough = 1 + (N_RECEIPTS - 1) * point // (N_EVENTS - 1)
    process = start(job, api=prefect_api)
    wait_until(lambda: len(receipts(job)) >= enough or process.exitcode is not None)
    status = kill(process, cluster if point % 4 == 1 else None)
    goes_on(job, point, status, prefect_api, expected)


@pytest.mark.parametrize("engine", ["threads", "dask"])
@pytest.mark.parametrize("point", range(N_TIMES))
def test_killed_at_random_times(expected, seconds, folder, prefect_api, cluster, engine, point):
    name = f"{engine}-at-random-{point}"
    job = on_threads(folder, name) if engine == "threads" else on_dask(folder, name, cluster)
    process = start(job, api=prefect_api)
    process.join(random.Random(point).uniform(0.1, 0.95) * seconds[engine])
    status = kill(process, cluster if engine == "dask" and point % 3 == 1 else None)
    goes_on(job, point, status, prefect_api, expected)


def test_most_of_them_were_killed():
    for engine, ended in statuses.items():
        assert ended.count(-signal.SIGKILL) >= len(ended) / 2, engine


def kill(process: Any, cluster: Cluster | None) -> int:
    """Kill a run and, if given, its cluster's workers at the same time; returns the run's exit status."""
    process.kill()
    if cluster:
        for worker in cluster.workers():
            worker.kill()
    process.join()
    return int(process.exitcode)
