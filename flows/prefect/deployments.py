"""A deployment of a flow: as an entry of a file like prefect.yaml, or on the configured Prefect server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

from emberharmony.errors import PlanError, TerminalError
from emberharmony.messages import listed, shortened, shown
from flows.prefect.outages import outages_told, shown_address
from flows.prefect.server import check_server, is_configured

if TYPE_CHECKING:
    from prefect import Flow

ENVIRONMENT: Final[Mapping[str, str]] = {
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_LOGGING_LOGGERS_PREFECT_FLOW_RUNS_LEVEL": "INFO",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    "PREFECT_FLOWS_DEFAULT_RETRIES": "2",
    "PREFECT_FLOWS_DEFAULT_RETRY_DELAY_SECONDS": "60",
    "PYTHONSAFEPATH": "1",
}
"""Variables of every flow run, as in prefect.yaml, which says what each is for."""
TAGS: Final = ("emberharmony", "control")
"""As in prefect.yaml. Flow runs with the second one are resumed when they crash, by an automation of deploy/automations.py."""
_HEAD: Final = """\
# Deploy with: prefect --no-prompt deploy --prefect-file THIS_FILE --all
# Or add the entry to the deployments of a prefect.yaml of your own.
pull: [] # workers have the package installed
"""


@dataclass(frozen=True)
class Cron:
    """When a deployment runs: an expression of five fields, read in a time zone."""

    expression: str
    time_zone: str

    def __post_init__(self) -> None:
        """Refuse what Prefect would refuse."""
        from prefect.client.schemas.schedules import CronSchedule
        from pydantic import ValidationError

        try:
            CronSchedule(cron=self.expression, timezone=self.time_zone)
        except ValidationError as error:
            if error.errors()[0]["loc"] == ("timezone",):
                raise PlanError(f"{shown(self.time_zone)} is no time zone, such as America/New_York.") from error
            raise PlanError(
                f"{shown(self.expression)} is no cron expression. It has five fields: minute, hour, day of the month, month "
                f"and day of the week, such as '0 4 * * *' for every day at four."
            ) from error


@dataclass(frozen=True)
class Deployment:
    """A flow with parameters, the work pool that runs it, and perhaps a schedule. It has one run at a time."""

    flow: str
    """Name of the flow, which is also that of its module in `flows`."""
    name: str
    description: str
    pool: str
    parameters: Mapping[str, Any]
    cron: Cron | None = None
    job_variables: Mapping[str, Any] = field(default_factory=dict)
    """Variables of the work pool's job template, such as `image`."""

    @property
    def full_name(self) -> str:
        """The name that `prefect deployment run` takes."""
        return f"{self.flow}/{self.name}"

    @property
    def entrypoint(self) -> str:
        """Where a worker finds the flow."""
        return f"flows.{self.flow}:{self.flow}"

    @property
    def variables(self) -> dict[str, Any]:
        """The variables of the work pool's job template, with those of the environment."""
        return {**self.job_variables, "env": dict(ENVIRONMENT)}

    def entry(self) -> dict[str, Any]:
        """Return the deployment as `prefect deploy` reads it."""
        cron = self.cron
        schedules = [{"cron": cron.expression, "timezone": cron.time_zone, "active": True}] if cron else []
        return {
            "name": self.name,
            "entrypoint": self.entrypoint,
            "description": self.description,
            "tags": list(TAGS),
            "work_pool": {"name": self.pool, "job_variables": self.variables},
            # A second run would be refused, because the first holds the lease of the sink; so it waits.
            "concurrency_limit": {"limit": 1, "collision_strategy": "ENQUEUE"},
            "parameters": dict(self.parameters),
            "schedules": schedules,
        }

    def as_yaml(self) -> str:
        """Return a file for `prefect deploy` with this deployment alone."""
        text = yaml.safe_dump({"deployments": [self.entry()]}, sort_keys=False, allow_unicode=True, width=120)
        return _HEAD + text


def apply_deployment(deployment: Deployment, flow: Flow[..., Any]) -> str:
    """Create a deployment on the configured Prefect server, or replace it; returns the server's address.

    Parameters
    ----------
    deployment : Deployment
        The deployment.
    flow : Flow
        The flow that it names; the server checks parameters of runs by its signature.

    Raises
    ------
    TerminalError
        If no server is configured, it has no such work pool (the message says how to create one), or the pool's job template
        asks for other variables.
    TransientError
        If the server does not answer.
    """
    if not is_configured():
        raise TerminalError(
            "No Prefect server is configured that could have the deployment. Set PREFECT_API_URL, such as "
            "http://HOST:4200/api, or leave out --apply: then the deployment is printed, for `prefect deploy`."
        )
    check_server()
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions
    from prefect.client.schemas.schedules import CronSchedule
    from prefect.exceptions import ObjectNotFound
    from prefect.utilities.callables import parameter_schema

    cron = deployment.cron
    timed = [CronSchedule(cron=cron.expression, timezone=cron.time_zone)] if cron else []
    with outages_told(), get_client(sync_client=True) as client:
        try:
            template = client.read_work_pool(deployment.pool).base_job_template
        except ObjectNotFound as error:
            raise TerminalError(
                f"The work pool {deployment.pool} does not exist on the server at {shown_address()}: run "
                f"`prefect work-pool create {deployment.pool} --type process`, or name another with --pool."
            ) from error
        _check_variables(deployment, template)
        with _refusal_told():
            client.create_deployment(
                flow_id=client.create_flow_from_name(deployment.flow),
                name=deployment.name,
                entrypoint=deployment.entrypoint,
                description=deployment.description,
                tags=list(TAGS),
                work_pool_name=deployment.pool,
                job_variables=deployment.variables,
                concurrency_limit=1,
                concurrency_options=ConcurrencyOptions(collision_strategy=ConcurrencyLimitStrategy.ENQUEUE),
                parameters=dict(deployment.parameters),
                parameter_openapi_schema=parameter_schema(flow).model_dump(exclude_unset=True),
                enforce_parameter_schema=True,
                schedules=[DeploymentScheduleCreate(schedule=schedule) for schedule in timed],
                pull_steps=[],
            )
    return str(shown_address())


def _check_variables(deployment: Deployment, template: Mapping[str, Any]) -> None:
    """Refuse a deployment without a variable that the pool's job template asks for: its runs could not start."""
    missing = [name for name in template.get("variables", {}).get("required", ()) if name not in deployment.variables]
    if missing:
        raise TerminalError(
            f"The job template of the work pool {deployment.pool} asks for {listed(missing)}: give "
            f"--job-variable {missing[0]}=VALUE."
        )


@contextmanager
def _refusal_told() -> Iterator[None]:
    """Say what the server says of a variable or a parameter that it refuses."""
    from prefect.exceptions import PrefectHTTPStatusError

    try:
        yield
    except PrefectHTTPStatusError as error:
        detail = error.response.json().get("detail") if error.response.status_code in (409, 422) else None
        if not isinstance(detail, str):
            raise
        raise TerminalError(
            f"The Prefect server at {shown_address()} refuses the deployment: {shortened(detail, 500)}."
        ) from error
