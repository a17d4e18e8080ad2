"""Deployments on a real server: what is printed is what is created, and a scheduled run makes the slice of its date."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from inspect import signature
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from typer.testing import CliRunner

from deploy.automations import resuming
from emberharmony.errors import TerminalError
from emberharmony.published import open_result
from flows.cli.app import app
from flows.prefect.deployments import ENVIRONMENT, TAGS, Cron, Deployment, apply_deployment
from tests.jobs import small_table, write_table

ROOT = Path(__file__).parents[3]


@contextmanager
def work_pool(client: SyncPrefectClient, **settings: Any) -> Iterator[str]:
    """A pool, of processes by default; yields its name."""
    name = f"night-{uuid4().hex[:8]}"
    client.create_work_pool(WorkPoolCreate(name=name, **{"type": "process", **settings}))
    try:
        yield name
    finally:
        client.delete_work_pool(name)


def scheduled_runs(client: SyncPrefectClient, deployment: Any, start: str, end: str) -> list[FlowRun]:
    """Flow runs that the schedules of a deployment give between two times: what the scheduler of a server asks for."""
    client.request(
        "POST", f"/deployments/{deployment.id}/schedule", json={"start_time": start, "end_time": end, "min_runs": 0}
    )
    return client.read_flow_runs(flow_run_filter=FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment.id])))


def work_once(pool: str) -> None:
    """Run what is due in a pool, by a worker that ends then."""
    from prefect.workers.process import ProcessWorker

    asyncio.run(ProcessWorker(work_pool_name=pool).start(run_once=True))


def deploy(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["deploy", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def deploy_file(path: Path, server: str) -> None:
    """Deploy a file by Prefect's own command, in another folder."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--prefect-file", str(path), "--all"]
    environment = {**os.environ, "PREFECT_API_URL": server}
    done = subprocess.run(command, cwd=path.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def night_job(tmp_path) -> Path:
    """A job by slice over the days from 2024-01-01, with 48 rows in each."""
    job = {
        "source": {"path": str(write_table(small_table(200), tmp_path / "t.parquet"))},
        "sink": {"path": str(tmp_path / "nights")},
        "columns": {"time": "t", "target": "y", "drop": ["name"]},
        "windows": {"size": 4, "strides": [1]},
        "slices": {"every": "day"},
        "runtime": {"backend": "numpy", "workers": 1},
    }
    (tmp_path / "night.yaml").write_text(yaml.safe_dump(job))
    return tmp_path / "night.yaml"


@pytest.mark.slow
@pytest.mark.xdist_group("prefect")
@pytest.mark.filterwarnings("default")
def test_a_schedule_fires_and_its_run_makes_the_slice_before_its_date(prefect_server, night_job, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with get_client(sync_client=True) as client, work_pool(client) as pool:
        given = [str(night_job), "--nightly", "--pool", pool, "--set", "windows.size=3"]
        command = f"{shlex.quote(sys.executable)} -m prefect.engine"  # without a look for a project that is to be fetched
        given += ["--job-variable", f"command={command}"]
        (tmp_path / "printed.yaml").write_text(deploy(*given))
        (printed,) = yaml.safe_load((tmp_path / "printed.yaml").read_text())["deployments"]
        deploy_file(tmp_path / "printed.yaml", prefect_server)
        assert_same(client.read_deployment_by_name("extract/night"), printed)
        days = [datetime.now(UTC).date()]
        told = deploy(*given, "--apply")  # in place of the same one
        days.append(datetime.now(UTC).date())  # another one after midnight
        assert f"extract/night is deployed to {prefect_server}, for the work pool {pool}." in told
        start = "Start it now: prefect deployment run extract/night --param slice={} --watch"
        assert any(start.format(day - timedelta(days=1)) in told for day in days)
        found = client.read_deployment_by_name("extract/night")
        assert_same(found, printed)

        asked = client.create_flow_run_from_deployment(found.id, parameters={"slice": "2024-01-03"})
        assert asked.parameters == printed["parameters"] | {"slice": "2024-01-03"}
        client.delete_flow_run(asked.id)
        (due,) = scheduled_runs(client, found, "2024-01-02T12:00:00Z", "2024-01-03T12:00:00Z")
        assert due.auto_scheduled
        assert due.expected_start_time.isoformat() == "2024-01-03T04:00:00+00:00"
        work_once(pool)
        ran = client.read_flow_run(due.id)
        assert (ran.state.name, ran.name) == ("Completed", "extract nights 2024-01-02"), ran.state.message
        assert [path.name for path in (tmp_path / "nights").glob("slice=*")] == ["slice=2024-01-02"]
        manifest = open_result(tmp_path / "nights/slice=2024-01-02").manifest
        assert (manifest.source_rows, manifest.spec["windows"]["size"]) == (48, 3)


def assert_same(found: Any, printed: dict[str, Any]) -> None:
    """Compare a deployment on a server with one in YAML."""
    assert (found.name, found.entrypoint, found.description) == tuple(
        printed[key] for key in ("name", "entrypoint", "description")
    )
    assert (found.tags, found.parameters, found.pull_steps) == (printed["tags"], printed["parameters"], [])
    assert found.work_pool_name == printed["work_pool"]["name"]
    assert found.job_variables == printed["work_pool"]["job_variables"]
    schedules = [{"cron": s.schedule.cron, "timezone": s.schedule.timezone, "active": s.active} for s in found.schedules]
    assert schedules == printed["schedules"]
    limit = {"limit": found.global_concurrency_limit.limit, "collision_strategy": found.concurrency_options.collision_strategy}
    assert limit == printed["concurrency_limit"]
    assert found.enforce_parameter_schema
    assert set(found.parameter_openapi_schema["properties"]) == {"job", "overwrite", "config", "overrides", "slice"}


@pytest.mark.xdist_group("prefect")
def test_a_pool_that_does_not_exist_is_told_with_the_command(prefect_server):
    deployment = Deployment("extract", "x", "", "nowhere", {"config": "/job.yaml"})
    from flows.extract import extract

    with pytest.raises(
        TerminalError, match="run `prefect work-pool create nowhere --type process`, or name another with --pool"
    ):
        apply_deployment(deployment, extract)


@pytest.mark.xdist_group("prefect")
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {},
            "template of the work pool {pool} asks for service_account_name: give --job-variable service_account_name=VALUE",
        ),
        ({"service_account_name": "night", "gpus": "x"}, "refuses the deployment: .*field 'gpus'.* 'x' is not valid"),
    ],
)
def test_variables_that_the_pool_does_not_take(prefect_server, given, message):
    from flows.extract import extract

    template = json.loads((ROOT / "deploy/templates/kubernetes.json").read_text())
    with get_client(sync_client=True) as client, work_pool(client, type="kubernetes", base_job_template=template) as pool:
        with pytest.raises(TerminalError, match=message.format(pool=pool)):
            apply_deployment(Deployment("extract", "x", "", pool, {}, None, given), extract)
        with pytest.raises(ObjectNotFound):
            client.read_deployment_by_name("extract/x")


def test_without_a_server_it_is_said_what_to_set(monkeypatch):
    monkeypatch.setattr("flows.prefect.deployments.is_configured", lambda: False)
    from flows.extract import extract

    with pytest.raises(TerminalError, match=r"Set PREFECT_API_URL, .* or leave out --apply"):
        apply_deployment(Deployment("extract", "x", "", "control", {}), extract)


def test_flow_runs_have_the_variables_and_the_tags_of_prefect_yaml():
    written = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    assert written["definitions"]["quiet"] == ENVIRONMENT
    (nightly,) = [deployment for deployment in written["deployments"] if deployment["name"] == "nightly"]
    own = Deployment("apply", "nightly", nightly["description"], "control", nightly["parameters"]).entry()
    same = ("entrypoint", "tags", "concurrency_limit", "parameters")
    assert {key: own[key] for key in same} == {key: nightly[key] for key in same}
    assert signature(resuming).parameters["tag"].default in TAGS


def test_the_printed_file_is_read_as_it_was_meant():
    """Texts that YAML would read as something else, or that have a meaning in it."""
    odd = {"config": "yes", "overrides": ["a: b", "#c", "x={slice}", "null", "é" * 200, "2026-11-28"], "slice": "2026-11-28"}
    deployment = Deployment("apply", "on", "a: 1", "007", odd, Cron("0 4 * * *", "UTC"), {"image": "1e3"})
    (found,) = yaml.safe_load(deployment.as_yaml())["deployments"]
    assert found == deployment.entry()
    assert found["parameters"] == odd
