"""Automations on a real server: a result starts a flow, a refused job is told, and a crashed flow run is resumed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.client.schemas.objects import FlowRun
from prefect.events import emit_event
from prefect.flow_engine import run_flow
from prefect.states import Crashed, Pending, Running

from deploy import automations
from deploy.zombies import register
from emberharmony.errors import PlanError
from flows.config.job import parse_job
from flows.prefect.names import uri_of
from tests.faults.victims import small_job

pytestmark = [pytest.mark.xdist_group("prefect"), pytest.mark.usefixtures("prefect_server")]

DEADLINE_S = 120.0

trained: list[tuple[str, str]] = []


@flow(persist_result=False)
def train(features: str, night: str) -> None:
    """Stands for a training that a user deploys."""
    trained.append((features, night))


@flow(persist_result=False)
def shard() -> None:
    """Stands for a part of a run that the run itself looks after."""


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    """A client that leaves no automations to other tests."""
    with get_client(sync_client=True) as client:
        yield client
        for automation in client.read_automations():
            client.delete_automation(automation.id)


@pytest.fixture
def training(client: SyncPrefectClient) -> UUID:
    """The deployment `train/of-the-test`, without a worker."""
    return client.create_deployment(flow_id=client.create_flow(train), name="of-the-test", tags=["control"])


def wait_for(look: Callable[[], Any]) -> Any:
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.2)
    raise AssertionError(f"nothing within {DEADLINE_S:.0f} s")


def started(client: SyncPrefectClient, deployment: UUID) -> list[FlowRun]:
    of_deployment = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment]))
    return client.read_flow_runs(flow_run_filter=of_deployment)


def test_a_result_that_is_published_starts_a_training(client, training, tmp_path: Path, capsys) -> None:
    from flows.extract import extract

    job = small_job(tmp_path)
    parameters = ["--param", "features={{ event.payload.sink }}", "--param", "night={{ event.payload.slice }}."]
    automations.main(["--train", "train/of-the-test", *parameters, "--sink", job["sink"]["path"]])
    assert capsys.readouterr().out.startswith("train-after-publish: ")
    other = {"prefect.resource.id": f"emberharmony.sink.{uri_of(str(tmp_path / 'other'))}"}
    emit_event("emberharmony.published", resource=other, payload={"sink": "other", "slice": ""})
    extract(parse_job(job))
    (run,) = wait_for(lambda: started(client, training))
    run_flow(train, flow_run=run)
    assert trained == [(job["sink"]["path"], ".")]


def test_people_are_told_of_a_job_that_was_refused(client, tmp_path: Path) -> None:
    from flows.extract import extract

    heard: SimpleQueue[dict[str, str]] = SimpleQueue()

    class Hears(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    name = f"of-the-test-{uuid4().hex[:8]}"
    with ThreadingHTTPServer(("127.0.0.1", 0), Hears) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        CustomWebhookNotificationBlock(
            name="test", url=f"http://127.0.0.1:{server.server_port}", json_data={"title": "{{subject}}", "text": "{{body}}"}
        ).save(name)
        automations.main(["--notify", f"{CustomWebhookNotificationBlock.get_block_type_slug()}/{name}"])
        with pytest.raises(PlanError):
            extract(parse_job(small_job(tmp_path, columns={"time": "when"})))
        told = heard.get(timeout=DEADLINE_S)
        server.shutdown()
    assert told["title"] == "emberharmony.refused: run result"
    assert "'when' is not in the table" in told["text"]


def test_a_crashed_flow_run_is_resumed_a_bounded_number_of_times(client, training) -> None:
    register(automations.resuming(max_starts=2, flows=("train",)))
    of_another_flow = client.create_deployment(flow_id=client.create_flow(shard), name="of-the-test", tags=["control"])
    run = client.create_flow_run_from_deployment(training, parameters={"features": "x", "night": "y"})

    def crash() -> None:
        for state in (Pending(), Running(), Crashed(message="killed")):
            client.set_flow_run_state(run.id, state, force=True)

    crash()
    assert wait_for(lambda: client.read_flow_run(run.id).state.name == "AwaitingRetry")
    crash()
    often, run = run, client.create_flow_run_from_deployment(of_another_flow)
    crash()
    # This crash is later than those of the others, which were left alone when it is acted on.
    other, run = run, client.create_flow_run_from_deployment(training, parameters={"features": "x", "night": "y"})
    crash()
    assert wait_for(lambda: client.read_flow_run(run.id).state.name == "AwaitingRetry")
    assert [client.read_flow_run(crashed.id).state.name for crashed in (often, other)] == ["Crashed", "Crashed"]


def test_at_least_one_automation_is_named(client) -> None:
    with pytest.raises(SystemExit):
        automations.main([])
