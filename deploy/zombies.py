"""Register an automation that marks a flow run as crashed when its heartbeats stop: its worker and process were both killed.

    python -m deploy.zombies        # once, with PREFECT_API_URL set; running it again replaces the automation

Workers must run with PREFECT_FLOWS_HEARTBEAT_FREQUENCY=30, which prefect.yaml sets for every pool. The engine `pools` notices
silent shards itself, and sooner (`runtime.silence_timeout_s`). The automation covers all other flow runs, and corrects the
state of silent shards in the UI.
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
    """An automation that marks a flow run as crashed if neither a heartbeat nor an end follows its last heartbeat.

    Parameters
    ----------
    silence : timedelta
        Time without a heartbeat after which a run counts as crashed. The shortest interval of heartbeats in Prefect is 30 s.
    name : str
        Name of the automation.
    flow_runs : str
        Names of the flow runs it applies to; a `*` at the end matches anything.
    """
    return Automation(
        name=name,
        description="Marks a flow run whose heartbeats stopped as crashed, so that other workers take over its work.",
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
    """Create an automation, or replace the existing one with the same name."""
    with get_client(sync_client=True) as client:
        for existing in client.read_automations_by_name(wanted.name):
            client.delete_automation(existing.id)
    return wanted.create()


def main() -> None:
    """Register the automation at the configured server."""
    made = register(automation())
    sys.stdout.write(f"{made.name}: {made.id}\n")


if __name__ == "__main__":
    main()
