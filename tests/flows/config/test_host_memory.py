"""Memory of all of a job's processes on a host."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from emberharmony.errors import PlanError
from emberharmony.io.store.recent import RECENT_BYTES
from emberharmony.io.store.uploads import UPLOADS_BYTES
from emberharmony.pipeline.execute import plan_job
from flows.config import job as config
from flows.config.host_memory import TORCH_BYTES, server_bytes
from flows.config.job import parse_job
from flows.engines.registry import ENGINES
from tests.jobs import small_table, write_table

HOLD = "x = bytearray(80 * 2**20); print(flush=True); input()"


def job_of(tmp_path, **runtime):
    source = tmp_path / "s.parquet"
    if not source.exists():
        write_table(small_table(500), source)
    runtime = {"backend": "numpy"} | runtime
    return parse_job({"source": {"path": str(source)}, "sink": {"path": str(tmp_path / "o")}, "runtime": runtime})


@pytest.mark.parametrize("engine", ["processes", "dask", "ray"])
def test_worker_processes_of_this_host_are_in_the_plan(tmp_path, monkeypatch, engine):
    # What this process holds grows with the first plan that it makes.
    monkeypatch.setattr("emberharmony.pipeline.plan.resident_bytes", lambda: 200 * 2**20)
    monkeypatch.setattr(config, "server_bytes", lambda: 0)  # other tests may share a server of this process
    worker_bytes, services_bytes = ENGINES[engine].worker_bytes, ENGINES[engine].services_bytes
    local = plan_job(job_of(tmp_path, engine="local", workers=2)).plan.memory
    several = plan_job(job_of(tmp_path, engine=engine, workers=2)).plan.memory
    assert several.reserved_bytes == local.reserved_bytes + 2 * worker_bytes + services_bytes
    with_torch = job_of(tmp_path, engine=engine, workers=2, backend="torch:cpu").resources.beside
    assert with_torch.worker_bytes == worker_bytes + TORCH_BYTES
    with pytest.raises(PlanError, match=r"by 9 worker processes\b.* lower runtime.workers \(now 9\)"):
        plan_job(job_of(tmp_path, engine=engine, workers=9, max_memory_gb=1.0))


@pytest.mark.parametrize(("engine", "n_processes"), [("local", 1), ("processes", 2)])
def test_files_on_their_way_to_a_bucket_are_in_the_plan(tmp_path, monkeypatch, engine, n_processes):
    monkeypatch.setattr(config, "server_bytes", lambda: 0)
    job = job_of(tmp_path, engine=engine, workers=2)
    bucket = job.model_copy(update={"sink": replace(job.sink, path="s3://bucket/out")})
    more = bucket.resources.beside.total_bytes - job.resources.beside.total_bytes
    assert more == n_processes * (UPLOADS_BYTES + RECENT_BYTES)
    assert "by files on their way to a bucket" in bucket.resources.beside.text()


def test_workers_elsewhere_are_not_in_the_plan(tmp_path):
    for runtime in ({"engine": "dask", "address": "tcp://there:8786"}, {"engine": "threads"}, {"engine": "local"}):
        assert job_of(tmp_path, workers=2, **runtime).resources.beside.n_processes == 0


@pytest.mark.parametrize(
    ("engine", "max_memory_gb", "workers"), [("processes", 2, 3), ("dask", 2, 1), ("dask", 64, 16), ("local", 2, 16)]
)
def test_no_more_processes_are_started_than_a_quarter_of_the_memory_holds(
    tmp_path, monkeypatch, engine, max_memory_gb, workers
):
    monkeypatch.setattr(config, "available_cores", lambda: 16)
    job = job_of(tmp_path, engine=engine, max_memory_gb=max_memory_gb)
    assert job.workers == job.resources.workers == workers
    assert job_of(tmp_path, engine=engine, max_memory_gb=max_memory_gb, workers=5).workers == 5


def test_the_temporary_server_is_counted(tmp_path):
    script = tmp_path / "server_process.py"
    script.write_text(HOLD)
    before = server_bytes()
    with subprocess.Popen([sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        assert server_bytes() > 80 * 2**20 or before
        child.stdin.close()
