"""Register automations that act on results, and resume flow runs that crashed.

    python -m deploy.automations --train train/nightly --param features='{{ event.payload.sink }}'
    python -m deploy.automations --notify slack-webhook/ops
    python -m deploy.automations --resume

Run it once for each, with PREFECT_API_URL set; running it again replaces the automation. `--sink` limits one to the results of
a sink. The events are described in `flows.prefect.events`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from prefect.automations import Automation
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, RunDeployment, SendNotification
from prefect.events.schemas.automations import EventTrigger, Posture, ResourceSpecification

from deploy.zombies import register
from flows.prefect.events import DRIFT, EXPECTATION_FAILED, PUBLISHED, REFUSED
from flows.prefect.names import uri_of

TRAINING = "train-after-publish"
NOTIFYING = "notify-of-results"
RESUMING = "resume-crashed-flow-runs"
RESUMED = ("extract", "fit", "apply")
PARAMETERS = {"sink": "{{ event.payload.sink }}", "slice": "{{ event.payload.slice }}"}
"""Parameters of the deployment that trains, unless others are given."""
MAX_STARTS = 3
"""How often a flow run is started before its crash is left to people: it may be the job that kills its process."""


def training(deployment_id: UUID, *, sink: str | None = None, parameters: Mapping[str, str] = PARAMETERS) -> Automation:
    """An automation that runs a deployment when a result is published.

    Parameters
    ----------
    deployment_id : UUID
        The deployment, such as one that trains a model.
    sink : str or None
        Address of the sink whose results count; all by default.
    parameters : mapping of str to str
        Its parameters: Jinja templates of the event.
    """
    return Automation(
        name=TRAINING,
        description="Runs a deployment on every result that was published.",
        trigger=_of_results({PUBLISHED}, sink),
        actions=[RunDeployment(deployment_id=deployment_id, parameters=dict(parameters))],
    )


def notifying(block_id: UUID, *, sink: str | None = None) -> Automation:
    """An automation that sends a notification when a job's expectations fail, its columns have drifted, or it is refused.

    Parameters
    ----------
    block_id : UUID
        A notification block, such as one of type Slack Webhook.
    sink : str or None
        Address of the sink whose results count; all by default.
    """
    return Automation(
        name=NOTIFYING,
        description="Tells people of expectations that fail, of drift, and of jobs that were refused.",
        trigger=_of_results({EXPECTATION_FAILED, DRIFT, REFUSED}, sink),
        actions=[
            SendNotification(
                block_document_id=block_id,
                subject="{{ event.event }}: {{ event.resource.name }}",
                body="{{ event.payload.message or event.payload.worst_drift }}",
            )
        ],
    )


def resuming(*, max_starts: int = MAX_STARTS, tag: str = "control", flows: Sequence[str] = RESUMED) -> Automation:
    """An automation that schedules a flow run of a deployment again when it has crashed; the run goes on where it stopped.

    Flow runs that fail are retried by Prefect itself, see deploy/README.md. Jobs that are refused fail, and do not crash.

    Parameters
    ----------
    max_starts : int
        How often a flow run may be started. One that crashes before it has started is left to people.
    tag : str
        Tag of their deployments.
    flows : sequence of str
        Names of the flows. Shards are not resumed: the run that waits for one hands its chunks out again.
    """
    return Automation(
        name=RESUMING,
        description="Schedules a crashed flow run again, which resumes its job.",
        trigger=EventTrigger(
            expect={"prefect.flow-run.Crashed"},
            match=ResourceSpecification(
                {"prefect.resource.id": "prefect.flow-run.*", "prefect.run-count": [str(n) for n in range(1, max_starts)]}
            ),
            match_related=[
                ResourceSpecification({"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"}),
                ResourceSpecification({"prefect.resource.name": list(flows), "prefect.resource.role": "flow"}),
            ],
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        actions=[
            ChangeFlowRunState(state=StateType.SCHEDULED, name="AwaitingRetry", message="It crashed, and resumes its job.")
        ],
    )


def _of_results(events: set[str], sink: str | None) -> EventTrigger:
    resource = f"emberharmony.sink.{uri_of(sink) if sink else '*'}"
    return EventTrigger(
        expect=events,
        match=ResourceSpecification({"prefect.resource.id": resource}),
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(0),
    )


def _wanted(options: argparse.Namespace, client: SyncPrefectClient) -> Iterator[Automation]:
    if options.train:
        deployment = client.read_deployment_by_name(options.train)
        parameters = dict(text.split("=", 1) for text in options.param) or PARAMETERS
        yield training(deployment.id, sink=options.sink, parameters=parameters)
    if options.notify:
        kind, _, name = options.notify.partition("/")
        yield notifying(client.read_block_document_by_name(name, kind).id, sink=options.sink)
    if options.resume:
        yield resuming()


def main(arguments: Sequence[str] | None = None) -> None:
    """Register automations at the configured server."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", metavar="FLOW/DEPLOYMENT", help="run this deployment when a result is published")
    parser.add_argument("--param", metavar="NAME=TEMPLATE", action="append", default=[], help="a parameter of --train")
    parser.add_argument("--notify", metavar="TYPE/BLOCK", help="notify of failed expectations, drift and refused jobs")
    parser.add_argument("--sink", metavar="ADDRESS", help="only results of this sink")
    parser.add_argument("--resume", action="store_true", help="resume flow runs that crashed")
    options = parser.parse_args(arguments)
    with get_client(sync_client=True) as client:
        wanted = list(_wanted(options, client))
    if not wanted:
        parser.error("name at least one of --train, --notify and --resume")
    for automation in wanted:
        made = register(automation)
        sys.stdout.write(f"{made.name}: {made.id}\n")


if __name__ == "__main__":
    main()
