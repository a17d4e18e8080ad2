"""A job asks its bucket for each thing once, or nearly so: of a small one, requests are most of its time."""

from __future__ import annotations

from emberharmony.io.store.opening import result_at
from flows.config.job import parse_job
from flows.run import run
from tests.faults.victims import small_job
from tests.servers.distant import distant_server
from tests.servers.s3 import CREDENTIALS

READS, LISTINGS, WRITES = 42, 13, 36


def test_a_small_job_asks_its_bucket_seldom(tmp_path, monkeypatch):
    for variable, value in CREDENTIALS.items():
        monkeypatch.setenv(variable, value)
    served = tmp_path / "served"
    served.mkdir()
    runtime = {"engine": "local", "workers": 1, "chunk_rows": 1500}
    with distant_server(served) as server:
        job = parse_job(small_job(tmp_path, runtime=runtime) | {"sink": {"path": server.address("out")}})
        manifest = run(job).manifest
        counts = server.counts()
        assert result_at(job.sink.path).snapshot().manifest.files == manifest.files
    assert counts["get"] + counts["head"] <= READS
    assert counts["list"] <= LISTINGS
    assert counts["put"] + counts["post"] + counts["delete"] <= WRITES
