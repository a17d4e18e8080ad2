"""What runs on pools: flow runs and their processes, the server, and results beside those of one process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import numpy as np
import psutil
import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowFilter, FlowRunFilter
from prefect.client.schemas.objects import FlowRun

from emberharmony.published import PublishedResult
from flows.config.job import parse_job
from flows.flights import demo_config
from flows.run import run

CHUNK_ROWS = 6_000


def children_of(flow_run: UUID, client: SyncPrefectClient) -> list[FlowRun]:
    return client.read_flow_runs(flow_run_filter=FlowRunFilter(parent_flow_run_id={"any_": [flow_run]}))


def working(environment: dict[str, str]) -> dict[psutil.Process, UUID]:
    """Processes of this server's flow runs, and the id of each flow run."""
    found = {}
    for process in psutil.process_iter(["environ"]):
        known = process.info["environ"] or {}
        if known.get("PREFECT_API_URL") == environment["PREFECT_API_URL"] and "PREFECT__FLOW_RUN_ID" in known:
            found[process] = UUID(known["PREFECT__FLOW_RUN_ID"])
    return found


def server_of(environment: dict[str, str]) -> psutil.Process:
    """Process that listens at this server's address."""
    port = urlsplit(environment["PREFECT_API_URL"]).port
    (server,) = {each.pid for each in psutil.net_connections("tcp") if each.status == "LISTEN" and each.laddr.port == port}
    return psutil.Process(server)


def shards_of(job: dict[str, Any], client: SyncPrefectClient) -> dict[str, FlowRun]:
    """Flow runs of a job's shards, by name."""
    runs = client.read_flow_runs(flow_filter=FlowFilter(name={"any_": ["shard"]}))
    return {run.name: run for run in runs if run.parameters["ref"]["staging"].startswith(job["sink"]["path"])}


def run_from_a_shell(job: dict[str, Any], environment: dict[str, str], home: Path) -> subprocess.Popen[str]:
    path = home / "job.yaml"  # JSON is YAML
    path.write_text(json.dumps(job))
    command = [sys.executable, "-c", "from flows.cli.app import main; main()", "run", str(path), "--quiet"]
    return subprocess.Popen(command, env=environment, cwd=home, stderr=subprocess.PIPE, text=True)


def instead_of_config(job: dict[str, Any]) -> dict[str, Any]:
    """Parameters of a whole job, for a deployment whose own parameters name a file."""
    return {"job": job, "config": None, "overrides": None}


def plain(home: Path, flights: Path) -> Path:
    job = yaml.safe_load(demo_config().read_text())
    job["source"]["path"] = str(flights)
    job["sink"]["path"] = str(home / "plain")
    job["runtime"] = {"engine": "local", "backend": "numpy", "workers": 1, "chunk_rows": CHUNK_ROWS}
    run(parse_job(job))
    return home / "plain"


def assert_same_results(actual: PublishedResult, wanted: PublishedResult) -> None:
    """Compare all published tables; computed by other backends, numbers may differ a little."""
    manifest, expected = actual.manifest, wanted.manifest
    for same in ("rows", "features", "schema", "dropped"):
        assert getattr(manifest, same) == getattr(expected, same)
    tables = [(actual.features(split), wanted.features(split)) for split in expected.rows]
    for stride, of_stride in expected.strides.items():
        found = manifest.strides[stride]
        assert found.windows == of_stride.windows
        np.testing.assert_allclose(found.explained_variance_ratio, of_stride.explained_variance_ratio, atol=1e-5)
        tables.append((actual.windows(stride=int(stride)), wanted.windows(stride=int(stride))))
    for found_table, wanted_table in tables:
        found_rows, wanted_rows = found_table.to_arrow(), wanted_table.to_arrow()
        assert found_rows.schema == wanted_rows.schema
        assert len(wanted_rows) > 0
        for name in wanted_rows.column_names:
            values = wanted_rows[name].to_numpy()
            if values.dtype == np.float32:
                np.testing.assert_allclose(found_rows[name].to_numpy(), values, atol=2e-5, rtol=1e-5, err_msg=name)
            else:
                assert found_rows[name].equals(wanted_rows[name]), name
