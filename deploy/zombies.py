"""The automation that marks a flow run as crashed when it has gone silent: its worker and its process were both killed.

    python -m deploy.zombies        # once, with PREFECT_API_URL set; again replaces it

Workers have to run with PREFECT_FLOWS_HEARTBEAT_FREQUENCY=30, as prefect.yaml says for every pool. A lane then queues the
chunks of a vanished shard again, some 100 s after its last sign of life.
"""

from __future__ import annotations

import sys
from datetime import timedelta

from prefect.automations import Automation
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture

NAME = "crash-zombie-flow-runs"
SILENCE = timedelta(seconds=90)
"""Three heartbeats missed."""


def automation() -> Automation:
    """When a heartbeat is followed neither by another nor by an end, the run has crashed."""
    return Automation(
        name=NAME,
        description="A flow run whose heartbeats stopped is marked as crashed, so that what it had is done elsewhere.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={
                "prefect.flow-run.heartbeat",
                "prefect.flow-run.Completed",
                "prefect.flow-run.Failed",
                "prefect.flow-run.Crashed",
                "prefect.flow-run.Cancelled",
                "prefect.flow-run.Cancelling",
            },
            match={"prefect.resource.id": "prefect.flow-run.*"},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=SILENCE,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED, message=f"No heartbeat for {SILENCE.seconds} s: the process or its host is gone."
            )
        ],
    )


def main() -> None:
    """Create the automation, or replace the one of its name."""
    with get_client(sync_client=True) as client:
        for existing in client.read_automations_by_name(NAME):
            client.delete_automation(existing.id)
    made = automation().create()
    sys.stdout.write(f"{made.name}: {made.id}\n")


if __name__ == "__main__":
    main()
