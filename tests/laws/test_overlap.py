"""Where a result is in a bucket, a worker process has several chunks in flight on every engine, and publishes the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from emberharmony.io.store.opening import result_at
from emberharmony.planning.memory import AHEAD
from flows.config.job import parse_job
from flows.run import run
from tests.faults.victims import contents, contents_by_snapshot, small_job
from tests.servers.distant import distant_server
from tests.servers.s3 import CREDENTIALS

pytestmark = [
    pytest.mark.xdist_group("prefect-engines"),
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("default"),  # those of Dask's libraries change with every release
]

LATENCY_MS = 20.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("overlap")


@pytest.fixture(scope="module")
def plain(folder) -> dict[str, str]:
    run(parse_job(small_job(folder, sink="plain")))
    return contents(folder / "plain")


def chunks_written_at_once(writes: list[tuple[str, float, float]]) -> int:
    """The most chunks of which parts were on their way to the bucket at one moment."""
    named = [(re.search(r"/part-(\d{5})", key), begin, end) for key, begin, end in writes]
    found = [(int(name[1]), begin, end) for name, begin, end in named if name]
    assert len(found) > 6 * 4, "six chunks have several files each"
    return max(len({chunk for chunk, begin, end in found if begin <= moment < end}) for _, moment, _ in found)


@pytest.mark.parametrize("engine", ["local", "threads", "processes", "dask"])
def test_one_worker_writes_chunks_beside_the_one_that_it_computes(plain, folder, monkeypatch, engine):
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    runtime = {"engine": engine, "workers": 1, "granularity": "chunk"}
    served = folder / f"served-{engine}"
    served.mkdir()
    with distant_server(served, latency_ms=LATENCY_MS) as server:
        job = parse_job(small_job(folder, runtime=runtime) | {"sink": {"path": server.address("out")}})
        run(job)
        at_once = chunks_written_at_once(server.writes())
        assert contents_by_snapshot(result_at(job.sink.path).snapshot()) == plain
    assert 2 <= at_once <= 1 + AHEAD
