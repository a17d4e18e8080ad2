"""Where a result is in a bucket, a worker process has several chunks in flight on every engine, and publishes the same."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from emberharmony.io.store.opening import result_at
from emberharmony.planning.memory import AHEAD
from flows.config.job import AnyJob, parse_job
from flows.run import run
from tests.faults.victims import contents, contents_by_snapshot, small_job, wait_until, worker_processes
from tests.servers.distant import DistantServer, distant_server
from tests.servers.s3 import CREDENTIALS

pytestmark = [
    pytest.mark.xdist_group("prefect-engines"),
    pytest.mark.usefixtures("forked_workers", "prefect_server"),
    pytest.mark.filterwarnings("default"),  # those of Dask's libraries change with every release
]

LATENCY_MS = 100.0  # of each request for a part: to write those of a chunk takes longer than to compute the next one


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("overlap")


@pytest.fixture(scope="module")
def plain(folder) -> dict[str, str]:
    run(parse_job(small_job(folder, sink="plain")))
    return contents(folder / "plain")


@contextmanager
def job_to_a_bucket(folder: Path, name: str, *, engine: str, latency_ms: float) -> Iterator[tuple[AnyJob, DistantServer]]:
    """Give a job of one worker whose result is in a bucket far away, and the server of that bucket."""
    served = folder / name
    served.mkdir()
    runtime = {"engine": engine, "workers": 1, "granularity": "chunk"}
    with distant_server(served, latency_ms=latency_ms, distant="/part-") as server, pytest.MonkeyPatch.context() as patch:
        for variable, value in CREDENTIALS.items():
            patch.setenv(variable, value)
        yield parse_job(small_job(folder, runtime=runtime) | {"sink": {"path": server.address("out")}}), server


def writes_of_parts(server: DistantServer) -> list[tuple[int, float, float]]:
    """Each write of a part so far: its chunk, and when it came and was answered."""
    named = [(re.search(r"/part-(\d{5})", key), begin, end) for key, begin, end in server.writes()]
    return [(int(name[1]), begin, end) for name, begin, end in named if name]


def chunks_at(moment: float, writes: list[tuple[int, float, float]]) -> set[int]:
    """Chunks of which parts were on their way to the bucket."""
    return {chunk for chunk, begin, end in writes if begin <= moment < end}


@pytest.mark.parametrize("engine", ["local", "threads", "processes", "dask"])
def test_one_worker_writes_chunks_beside_the_one_that_it_computes(plain, folder, engine):
    with job_to_a_bucket(folder, f"served-{engine}", engine=engine, latency_ms=LATENCY_MS) as (job, server):
        run(job)
        writes = writes_of_parts(server)
        assert contents_by_snapshot(result_at(job.sink.path).snapshot()) == plain
    assert len(writes) > 6 * 4, "six chunks have several files each"
    # The local engine ends a chunk behind the work: parts of chunks that are computed are on their way as well.
    most = (4 if engine == "local" else 1) * (1 + AHEAD)
    assert 2 <= max(len(chunks_at(begin, writes)) for _, begin, _ in writes) <= most


@pytest.mark.parametrize("engine", ["processes", "dask"])
def test_a_worker_that_is_killed_with_several_chunks_in_flight_loses_nothing(plain, folder, engine):
    with job_to_a_bucket(folder, f"killed-{engine}", engine=engine, latency_ms=2 * LATENCY_MS) as (job, server):
        killed = []

        def is_killed() -> bool:
            if len(chunks_at(time.monotonic(), writes_of_parts(server))) >= 2:
                killed.extend(worker_processes())
                for worker in killed:
                    worker.kill()
            return bool(killed)

        killer = threading.Thread(target=wait_until, args=[is_killed])
        killer.start()
        run(job)
        killer.join()
        assert len(killed) == 1
        assert contents_by_snapshot(result_at(job.sink.path).snapshot()) == plain
