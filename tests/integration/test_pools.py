"""A server and process workers in pools of three backends publish the same result as one process."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx
import psutil
import pyarrow as pa
import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelling
from typer.testing import CliRunner

from deploy import zombies
from deploy.local import POOLS, ROOT, client_settings, local_deployment, local_server, local_worker, run_flights
from emberharmony.backend import available_backends
from emberharmony.io.store.address import BucketAddress, child_address
from emberharmony.io.store.bucket import Bucket
from emberharmony.published import open_result
from flows.cli.app import app
from flows.config.job import ApplyJob, FitJob, Job, load_job, parse_job
from flows.config.parameters import check_config_is_found
from flows.prefect.flow_run import check_sink_outlives_flow_run
from flows.run import run
from tests.faults.victims import contents, receipts, small_job, wait_until
from tests.integration import hosts
from tests.integration.pools import (
    CHUNK_ROWS,
    assert_same_results,
    children_of,
    instead_of_config,
    plain,
    run_from_a_shell,
    server_of,
    shards_of,
    working,
)
from tests.jobs import small_table, write_table
from tests.servers.prefect import copy_database

pytestmark = [
    pytest.mark.xdist_group("pools"),
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(len(available_backends()) < 3, reason="needs numpy, torch and mlx (`mlx[cpu]` on Linux)"),
]

N_CHUNKS = 120
HALF = N_CHUNKS // 2


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("pools")


@pytest.fixture(scope="module")
def engine(forks) -> str:
    """Command of a flow run: a fork, since in a new process the imports take longer than the work."""
    return shlex.join(forks.command("-m", "prefect.engine"))


@pytest.fixture(scope="module")
def environment(home, s3_endpoint, engine, forks) -> Iterator[dict[str, str]]:
    """Variables of the server and of the S3 server's credentials.

    The server and the workers are forks, as are the commands. New processes are the second server, and the workers on hosts.
    """
    copy_database(home / ".prefect")
    with pytest.MonkeyPatch.context() as patch:
        # Nobody looks at this server: its UI and the types of blocks would take seconds of its start.
        patch.setenv("PREFECT_UI_ENABLED", "0")
        patch.setenv("PREFECT_API_BLOCKS_REGISTER_ON_START", "false")
        patch.setenv("PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION", "false")
        with ExitStack() as stack:
            with forks.instead_of_new_processes():
                environment = stack.enter_context(local_deployment(home, command=engine))
            yield environment


@pytest.fixture(scope="module")
def replaced(environment) -> Iterator[ExitStack]:
    """Replacements of killed servers and workers, which serve the following tests as well."""
    with ExitStack() as stack:
        yield stack
        for child in psutil.Process().children(recursive=True):  # asked to stop, each would take up to 15 s
            with suppress(psutil.Error):
                if child.environ().get("PREFECT_API_URL") == environment["PREFECT_API_URL"]:
                    child.kill()


@pytest.fixture(scope="module")
def client(environment) -> Iterator[SyncPrefectClient]:
    with client_settings(environment), get_client(sync_client=True) as client:
        yield client


@pytest.fixture(scope="module")
def many_chunks(home) -> Callable[..., dict[str, Any]]:
    """A job of so many small chunks that a shard takes seconds; its result is the same to the bit in every pool."""
    # In order, so that no stages arrange it; those run in the test with the flights.
    write_table(small_table(20 * N_CHUNKS, order="sorted"), home / "table.parquet", group_rows=20 * N_CHUNKS)
    return lambda sink, runtime: small_job(home, sink=sink, runtime={"chunk_rows": 20, **runtime})


@pytest.fixture(scope="module")
def undisturbed(home, many_chunks) -> dict[str, str]:
    run(parse_job(many_chunks("undisturbed", {"engine": "local", "workers": 1})))
    return contents(home / "undisturbed")


@pytest.fixture(scope="module")
def scheduled(environment, client, home) -> UUID:
    """A deployment by the command, of a job by slice, whose schedule fires once: a minute from now."""
    soon, hour = datetime.now(UTC) + timedelta(seconds=90), timedelta(hours=1)  # the scheduler looks every five seconds
    times = [soon + hour * i for i in range(-200, 200)]
    write_table(pa.table({"t": times, "x": [float(i % 7) for i in range(400)]}), home / "hours.parquet")
    job = {
        "source": {"path": str(home / "hours.parquet")},
        "sink": {"path": str(home / "scheduled")},
        "columns": {"time": "t"},
        "windows": {"size": 2, "strides": [1]},
        "slices": {"time_zone": "Pacific/Kiritimati"},  # where it is the next day for most of the time
    }
    (home / "scheduled.yaml").write_text(json.dumps(job))
    cron = ["--cron", f"{soon.minute} {soon.hour} * * *", "--time-zone", "UTC", "--slice", "current"]
    done = CliRunner().invoke(app, ["deploy", str(home / "scheduled.yaml"), *cron, "--apply"])
    assert done.exit_code == 0, done.output
    return client.read_deployment_by_name("extract/scheduled").id


@pytest.fixture
def far_hosts(environment, engine, client, home, tmp_path_factory) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Workers of two more pools, by the names of the pools. They see an empty folder where all files of the tests are."""
    shard = client.read_deployment_by_name("shard/cpu")
    template = json.loads((ROOT / "deploy/templates/process.json").read_text())
    with ExitStack() as stack:
        workers = {}
        for pool, backend in {"far-cpu": "numpy", "far-gpu": "torch"}.items():
            client.create_work_pool(WorkPoolCreate(name=pool, type="process", base_job_template=template))
            stack.callback(client.delete_work_pool, pool)
            client.create_deployment(
                flow_id=shard.flow_id,
                name=pool,
                entrypoint=shard.entrypoint,
                pull_steps=[],
                work_pool_name=pool,
                job_variables={"command": engine, "env": {"EMBERHARMONY_BACKEND": backend}},
                parameter_openapi_schema=shard.parameter_openapi_schema,
            )
            start = ["-m", "prefect", "worker", "start", "--pool", pool, "--limit", "1"]
            far = hosts.host(f"host-{pool}", start, environment, tmp_path_factory.getbasetemp(), home / f"{pool}.log")
            workers[pool] = stack.enter_context(far)
        yield workers


@pytest.mark.usefixtures("scheduled")  # fires meanwhile
def test_hosts_that_share_nothing_but_a_bucket_publish_what_one_process_does(
    environment, home, far_hosts, s3, tenth_of_flights, tmp_path_factory, forks
):
    """Of three pools with a backend each, two are on hosts with a home, a working directory and a file system of their own."""
    source, sink = child_address(s3, "flights.parquet"), child_address(s3, "features")
    Bucket(BucketAddress.parse(s3)).put("flights.parquet", tenth_of_flights.read_bytes())
    runtime = {"chunk_rows": CHUNK_ROWS, "workers": 1, "shard_chunks": 2, "parity_check": 1.0}
    with forks.instead_of_new_processes():
        run_flights(environment, source, sink, {"pools": dict.fromkeys([*far_hosts, "apple"], 1), **runtime})

    result = open_result(sink)
    backends = {who.split(":")[0] for hosts in result.manifest.computed.values() for who in hosts}
    assert backends == {"numpy", "torch", "mlx"}, "every pool took a part"
    assert result.manifest.parity["largest"] < 1e-4
    assert_same_results(result, open_result(plain(home, tenth_of_flights)))
    if reason := hosts.why_not():
        pytest.skip(f"The result is right, but hosts could have shared a folder: {reason}")
    for pool, worker in far_hosts.items():
        seen = hosts.seen_by(worker, tmp_path_factory.getbasetemp())
        assert [path.name for path in seen.iterdir()] == [f"host-{pool}"], "a folder that hosts share"
        left = [path for path in seen.rglob("*") if path.suffix == ".parquet" or "storage" in path.parts]
        assert left == [], "the job, or Prefect, left something on a host"


RUNTIMES = [
    {"engine": "processes", "workers": 2},
    {"engine": "pools", "pools": {"cpu": 1, "gpu": 1}, "workers": 1, "shard_chunks": HALF},
]


@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda runtime: runtime["engine"])
def test_cancelling_a_flow_run_stops_its_work_and_the_next_one_goes_on(environment, client, many_chunks, undisturbed, runtime):
    job = many_chunks(f"cancelled-{runtime['engine']}", runtime)
    deployment = client.read_deployment_by_name("extract/flights")
    flow_run = client.create_flow_run_from_deployment(deployment.id, parameters=instead_of_config(job))
    wait_until(lambda: len(receipts(job)) >= 5, timeout_s=300)
    client.set_flow_run_state(flow_run.id, Cancelling())  # as `prefect flow-run cancel` does
    wait_until(lambda: client.read_flow_run(flow_run.id).state.is_final(), timeout_s=300)
    stopped_at = len(receipts(job))
    ended = [client.read_flow_run(flow_run.id), *children_of(flow_run.id, client)]
    assert ended[0].state.is_cancelled()
    assert {run.state.name for run in ended} <= {"Cancelled", "Completed"}
    wait_until(lambda: not working(environment), timeout_s=120)
    assert len(receipts(job)) == stopped_at < 3 * N_CHUNKS, "something ran on"
    assert not (Path(job["sink"]["path"]) / "manifest.json").exists()
    run(parse_job(many_chunks(f"cancelled-{runtime['engine']}", {"engine": "local", "workers": 1})))
    assert contents(Path(job["sink"]["path"])) == undisturbed


def written_deployments(data: str) -> list[dict[str, Any]]:
    """The deployments in prefect.yaml, where EMBERHARMONY_DATA is `data`."""
    text = (ROOT / "prefect.yaml").read_text().replace("{{ $EMBERHARMONY_DATA }}", data)
    return yaml.safe_load(text)["deployments"]


def test_the_deployments_run_the_jobs_of_configs():
    """Each is the job of its file, but for the places and the length of a slice."""
    deployments = {written["name"]: written for written in written_deployments("/data")}
    jobs, changed = {}, {}
    for name, model in {"flights": Job, "plan": Job, "weekly": FitJob, "nightly": ApplyJob}.items():
        given = deployments[name]["parameters"]
        check_config_is_found(given["config"])
        jobs[name], own = load_job(given["config"], given["overrides"], model), load_job(given["config"], (), model)
        check_sink_outlives_flow_run(jobs[name].sink.path)
        changed[name] = {field for field in model.model_fields if getattr(jobs[name], field) != getattr(own, field)}
    places = {"source", "sink"}
    assert changed == {"flights": places, "plan": places, "weekly": {*places, "slices"}, "nightly": {*places, "state"}}
    assert jobs["flights"] == jobs["plan"]
    assert jobs["weekly"].sink.path == "/data/flights-states/{slice}"
    assert jobs["nightly"].state == "/data/flights-states/latest"
    zones = {name: deployments[name]["schedules"][0]["timezone"] for name in ("weekly", "nightly")}
    assert zones == {name: jobs[name].slices.time_zone for name in zones}
    assert {deployments[name]["parameters"]["slice"] for name in zones} == {"previous"}
    pools = {
        d["work_pool"]["name"]: d["work_pool"]["job_variables"]["env"]["EMBERHARMONY_BACKEND"] for d in deployments.values()
    }
    assert pools == {"control": "numpy", "cpu": "numpy", "gpu": "torch", "apple": "mlx"}


def test_the_server_has_everything_that_is_written_down(environment, client, home):
    """Prefect ignores settings and keys of prefect.yaml that it does not know, so everything is read back."""
    for written in written_deployments(f"{home}/data"):
        flow = {"weekly": "fit", "nightly": "apply", "plan": "plan", "flights": "extract"}.get(written["name"], "shard")
        found = client.read_deployment_by_name(f"{flow}/{written['name']}")
        assert (found.entrypoint, found.description) == (written["entrypoint"], written["description"])
        assert (found.tags, found.parameters) == (written["tags"], written.get("parameters", {}))
        assert (found.pull_steps, found.paused, found.work_pool_name) == ([], False, written["work_pool"]["name"])
        assert found.job_variables == written["work_pool"]["job_variables"]
        schedules = [(each.schedule.cron, each.schedule.timezone, each.active) for each in found.schedules]
        assert schedules == [tuple(each.values()) for each in written.get("schedules", [])]
        limit, options = found.global_concurrency_limit, found.concurrency_options
        told = {"limit": limit.limit, "collision_strategy": options.collision_strategy} if limit else None
        assert told == written.get("concurrency_limit")
    pools = {pool.name: (pool.type, pool.concurrency_limit) for pool in client.read_work_pools()}
    assert pools == {name: ("process", limit) for name, limit in POOLS.items()}
    settings = client.request("GET", "/admin/settings").json()["server"]
    recorder = settings["services"]["task_run_recorder"]
    assert (recorder["batch_size"], recorder["read_batch_size"]) == (100, 100)
    assert (settings["events"]["retention_period"], settings["analytics_enabled"]) == ("P2D", False)
    assert len(client.read_automations_by_name(zombies.NAME)) == 1
    with httpx.Client(base_url=environment["PREFECT_API_URL"]) as stranger:
        assert stranger.get("/health").status_code == 200
        assert stranger.post("/deployments/filter", json={}).status_code == 401, "other users of this machine"


def test_a_schedule_has_fired_and_made_the_slice_of_its_time(client, home, scheduled):
    of_deployment = FlowRunFilter(
        deployment_id={"any_": [scheduled]}, expected_start_time={"before_": datetime.now(UTC) + timedelta(hours=1)}
    )

    def first() -> FlowRun | None:
        return next(iter(client.read_flow_runs(flow_run_filter=of_deployment)), None)

    wait_until(lambda: (run := first()) and run.state.is_final(), timeout_s=600)
    ran = first()
    assert (ran.state.name, ran.auto_scheduled) == ("Completed", True), ran.state.message
    night = ran.expected_start_time.astimezone(ZoneInfo("Pacific/Kiritimati")).date()
    assert ran.name == f"extract scheduled {night}"
    assert open_result(home / f"scheduled/slice={night}").manifest.source_rows == 24


def test_a_flow_run_that_was_killed_is_marked_as_crashed(environment, client):
    """The automation does it, here after a shorter silence; no worker has seen this process die."""
    zombies.register(zombies.automation(silence=timedelta(seconds=10), name="of-the-test", flow_runs="zombie"))
    script = "from prefect import flow; flow(lambda: input(), name='zombie', flow_run_name='zombie')()"
    with subprocess.Popen([sys.executable, "-c", script], env=environment, stdin=subprocess.PIPE) as process:
        beats = {
            "filter": {
                "event": {"name": ["prefect.flow-run.heartbeat"]},
                "resource": {"labels": {"prefect.resource.name": "zombie"}},
            }
        }
        wait_until(lambda: client.request("POST", "/events/filter", json=beats).json()["total"])
        process.kill()
    (zombie,) = client.read_flow_runs(flow_run_filter=FlowRunFilter(name={"any_": ["zombie"]}))
    assert zombie.state.is_running(), "nobody has told the server"
    wait_until(lambda: not client.read_flow_run(zombie.id).state.is_running())
    state = client.read_flow_run(zombie.id).state
    assert (state.name, state.message) == ("Crashed", "No heartbeat for 10 s: the process or its host is gone.")


def test_killed_shards_workers_hosts_and_servers_change_nothing(
    environment, replaced, client, home, many_chunks, undisturbed, forks
):
    """In one run die: a shard, a worker without its shard, the server, and a worker together with its shard."""
    job = many_chunks("killed", {**RUNTIMES[1], "silence_timeout_s": 10})

    def done(stage: str, half: int) -> int:
        """Chunks of the first or the second shard; each pool gets one, in the order of the pools."""
        return sum(receipt.parent.name == stage and int(receipt.stem) // HALF == half for receipt in receipts(job))

    def backend_of(process: psutil.Process) -> str:
        return process.info["environ"]["EMBERHARMONY_BACKEND"]  # as it was found: it may have ended since

    def second_shard_in_the_middle_of(stage: str) -> psutil.Process:
        """It is looked for before its first chunk: finding a process may take longer than all of its chunks."""
        found: list[psutil.Process] = []

        def has_begun() -> bool:
            found[:] = [shard for shard in found if shard.is_running()] or [
                process for process in working(environment) if backend_of(process) == "torch"
            ]
            return bool(found) and done(stage, 1) >= 1

        wait_until(has_begun, timeout_s=300)
        (shard,) = found
        return shard

    with run_from_a_shell(job, environment, home) as process:
        second_shard_in_the_middle_of("profile").kill()  # its worker tells the server
        left = [HALF - done("profile", 1)]
        wait_until(lambda: done("featurize", 0) and done("featurize", 1), timeout_s=300)
        worker = psutil.Process(min(working(environment), key=backend_of).ppid())  # of the first shard, if it still works
        pool = worker.cmdline()[worker.cmdline().index("--pool") + 1]
        worker.kill()  # the shards need neither it
        server_of(environment).kill()  # nor the server; the next one takes some ten seconds to answer
        replaced.enter_context(local_server(environment, home / "server-again.log"))
        with forks.instead_of_new_processes():
            replaced.enter_context(local_worker(pool, POOLS[pool], environment, home / "worker-again.log"))
        shard = second_shard_in_the_middle_of("project")
        worker = psutil.Process(shard.ppid())
        assert "local-gpu" in worker.cmdline()
        worker.kill()
        shard.kill()  # nobody tells the server
        left.append(HALF - done("project", 1))
        _, said = process.communicate(timeout=400)
    with forks.instead_of_new_processes():
        replaced.enter_context(local_worker("gpu", POOLS["gpu"], environment, home / "worker-gpu-again.log"))
    assert process.returncode == 0, said
    assert min(left) > 0
    assert contents(home / "killed") == undisturbed
    shards = shards_of(job, client)
    for stage, told in (("profile", "Process exited with status code: -9"), ("project", "No heartbeat for 10 s")):
        lost = shards[f"{stage}-{HALF}-to-{N_CHUNKS - 1}-attempt-1"]
        (again,) = [
            run
            for name, run in shards.items()
            if name.startswith(stage) and name.endswith("attempt-2") and run.parameters["chunks"][0][0] >= HALF
        ]
        assert (lost.work_pool_name, again.work_pool_name) == ("gpu", "cpu")
        assert (lost.state.name, again.state.name) == ("Crashed", "Completed")
        assert lost.state.message.startswith(told)
        assert len(json.dumps(lost.parameters)) < 2048
    ended = {name: run.state.name for name, run in shards.items() if name.startswith("featurize")}
    assert len(ended) == 2, "no shard of this stage was lost"
    assert set(ended.values()) <= {"Completed", "Cancelled"}  # cancelled: the other pool had nothing to do, and took it sooner
