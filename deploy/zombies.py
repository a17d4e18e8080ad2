"""The automation that marks a flow run as crashed when it has gone silent: its worker and its process were both killed.

    python -m deploy.zombies        # once, with PREFECT_API_URL set; again replaces it

Workers have to run with PREFECT_FLOWS_HEARTBEAT_FREQUENCY=30, as prefect.yaml says for every pool. Lanes find out about their
shards sooner and by themselves (`runtime.silence_timeout_s`); this is for all other flow runs, and for what is shown.
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


def automation(*, silence: timedelta = SILENCE, name: str = NAME, flow_runs: str = "*") -> Automation:
    """When a heartbeat is followed neither by another nor by an end, the run has crashed.

    Parameters
    ----------
    silence : timedelta
        How long after a heartbeat; Prefect sends them every 30 s at most.
    name : str
        Of the automation.
    flow_runs : str
        Names of the flow runs that it is for; a `*` at the end stands for anything.
    """
    return Automation(
        name=name,
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
            match={"prefect.resource.id": "prefect.flow-run.*", "prefect.resource.name": flow_runs},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=silence,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED, message=f"No heartbeat for {silence.seconds} s: the process or its host is gone."
            )
        ],
    )


def register(wanted: Automation) -> Automation:
    """Create an automation, or replace the one of its name."""
    with get_client(sync_client=True) as client:
        for existing in client.read_automations_by_name(wanted.name):
            client.delete_automation(existing.id)
    return wanted.create()


def main() -> None:
    """Register it at the server that is configured."""
    made = register(automation())
    sys.stdout.write(f"{made.name}: {made.id}\n")


if __name__ == "__main__":
    main()
