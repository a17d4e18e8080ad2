"""Server, process workers in pools of three backends, and the flights through all of them: one result."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import yaml

from deploy.local import ROOT, local_deployment, run_flights
from emberharmony.backend import available_backends
from flows.config import parse_job
from flows.flights import demo_config, prepare_flights
from flows.run import run
from tests.faults.victims import wait_until

pytestmark = [
    pytest.mark.xdist_group("pools"),
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(len(available_backends()) < 3, reason="needs numpy, torch and mlx (`mlx[cpu]` on Linux)"),
]

CHUNK_ROWS = 60_000


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("pools")
    made = ROOT / "data/flights.parquet"  # by `make demo`
    if made.exists():
        (home / "data").mkdir()
        shutil.copy(made, home / "data/flights.parquet")
    prepare_flights(home / "data/flights.parquet")
    return home


@pytest.fixture(scope="module")
def environment(home) -> Iterator[dict[str, str]]:
    with local_deployment(home) as environment:
        yield environment


def plain(home: Path) -> Path:
    job = yaml.safe_load(demo_config().read_text())
    job["source"]["path"] = str(home / "data/flights.parquet")
    job["sink"]["path"] = str(home / "plain")
    job["runtime"] = {"engine": "none", "backend": "numpy", "workers": 1, "chunk_rows": CHUNK_ROWS}
    run(parse_job(job))
    return home / "plain"


def test_three_pools_publish_what_one_process_does(environment, home):
    manifest = run_flights(environment, home, {"chunk_rows": CHUNK_ROWS, "workers": 1, "shard_chunks": 2, "parity_check": 1.0})
    expected_at = plain(home)
    expected = json.loads((expected_at / "manifest.json").read_text())

    backends = {who.split(":")[0] for hosts in manifest["computed"].values() for who in hosts}
    assert backends == {"numpy", "torch", "mlx"}, "every pool took a part"
    assert manifest["parity"]["largest"] < 1e-4
    for same in ("fingerprint", "rows", "features", "schema", "dropped"):
        assert manifest[same] == expected[same]
    for stride, counts in expected["strides"].items():
        assert manifest["strides"][stride]["windows"] == counts["windows"]
        np.testing.assert_allclose(
            manifest["strides"][stride]["explained_variance_ratio"], counts["explained_variance_ratio"], atol=1e-5
        )
    published = home / "data/flights-features"
    parts = sorted(str(path.relative_to(expected_at)) for path in expected_at.rglob("*.parquet"))
    assert parts == sorted(str(path.relative_to(published)) for path in published.rglob("*.parquet"))
    for part in parts:
        actual, wanted = pq.ParquetFile(published / part).read(), pq.ParquetFile(expected_at / part).read()
        assert actual.schema == wanted.schema
        for name in wanted.column_names:
            values = wanted[name].to_numpy(zero_copy_only=False)
            if values.dtype == np.float32:
                np.testing.assert_allclose(actual[name].to_numpy(), values, atol=2e-5, rtol=1e-5, err_msg=f"{part}: {name}")
            else:
                assert actual[name].equals(wanted[name]), f"{part}: {name}"


def test_cancelling_a_flow_run_stops_its_work(environment, home):
    from uuid import UUID

    job = yaml.safe_load(demo_config().read_text())
    job["sink"]["path"] = "data/cancelled"
    job["runtime"] = {"engine": "processes", "workers": 2, "chunk_rows": 2_000, "backend": "numpy"}
    prefect = [sys.executable, "-m", "prefect"]
    command = [*prefect, "deployment", "run", "extract/flights", "--param", f"job={json.dumps(job)}"]
    told = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    flow_run = UUID(next(line for line in told.splitlines() if "UUID:" in line).split("UUID:")[1].strip())

    def done() -> int:
        return len(list((home / "data/cancelled/.staging").glob("*/receipts/*/*.json")))

    wait_until(lambda: done() >= 5, timeout_s=200)
    working = [
        process
        for process in psutil.process_iter(["environ"])
        if (process.info["environ"] or {}).get("PREFECT__FLOW_RUN_ID", "").replace("-", "") == flow_run.hex
    ]
    assert working
    subprocess.run([*prefect, "flow-run", "cancel", str(flow_run)], env=environment, cwd=ROOT, check=True, capture_output=True)
    _, alive = psutil.wait_procs(working, timeout=90)
    assert not alive, "something runs on"
    stopped_at = done()
    assert stopped_at < 3 * 169
    time.sleep(2)
    assert done() == stopped_at
    assert not (home / "data/cancelled/manifest.json").exists()


def test_the_deployments_run_the_jobs_of_configs():
    deployments = {d["name"]: d for d in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]}
    flights = yaml.safe_load(demo_config().read_text())
    for name in ("flights", "plan"):
        assert deployments[name]["parameters"]["job"] == flights
    fit = deployments["weekly"]["parameters"]["job"]
    assert fit == flights | {"sink": fit["sink"]}
    apply = yaml.safe_load(demo_config().with_name("flights-apply.yaml").read_text())
    assert deployments["nightly"]["parameters"]["job"] == apply | {"state": fit["sink"]["path"]}
    pools = {
        d["work_pool"]["name"]: d["work_pool"]["job_variables"]["env"]["EMBERHARMONY_BACKEND"] for d in deployments.values()
    }
    assert pools == {"control": "numpy", "cpu": "numpy", "gpu": "torch", "apple": "mlx"}
