"""A deployment for a user's own job file: printed for `prefect deploy`, or applied to the configured server."""

from __future__ import annotations

import datetime as dt
import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final

from emberharmony.errors import PlanError
from emberharmony.io.store.address import is_bucket, without_query
from emberharmony.messages import listed, printable, shown
from emberharmony.slices import SlicesSpec
from flows.config.files import parse_value
from flows.config.job import AnyJob, load_any
from flows.config.parameters import PREVIOUS, READERS, slice_at, uses_slices
from flows.prefect.settings import load_prefect
from flows.run import quiet_prefect

if TYPE_CHECKING:
    from flows.prefect.deployments import Deployment

NIGHTLY: Final = "0 4 * * *"
"""Later than two and three, when clocks are changed: these hours come twice or not at all."""
WEEKLY: Final = "0 5 * * 1"

_FLOW_OF_COMMAND: Final = {"run": "extract", "fit": "fit", "apply": "apply"}


@dataclass(frozen=True)
class Wanted:
    """What a user asks of a deployment; what is left out, the job decides."""

    flow: str | None = None
    name: str | None = None
    pool: str = "control"
    cron: str | None = None
    time_zone: str | None = None
    slice: str | None = None
    overwrite: bool = False
    job_variables: tuple[str, ...] = ()


def deploy(config: str, overrides: Sequence[str], wanted: Wanted, *, apply: bool) -> None:
    """Print a deployment of a job as YAML, or apply it to the configured Prefect server and print how to start it."""
    from flows.cli.console import print_text

    quiet_prefect()
    load_prefect()
    job = read_job(config, overrides, wanted.flow)
    deployment = deployment_of(job, config, overrides, wanted)
    note = _note(deployment.parameters["config"])
    if not apply:
        print_text("".join(f"# {line}\n" for line in note) + deployment.as_yaml().rstrip())
        return
    from flows.prefect.deployments import apply_deployment

    flow = getattr(import_module(f"flows.{deployment.flow}"), deployment.flow)
    print_text("\n".join([*_told(deployment, apply_deployment(deployment, flow), job), *note]))


def schedule_of(*, nightly: bool, weekly: bool, cron: str | None) -> str | None:
    """Return the cron expression of a schedule; ``None`` for none.

    Raises
    ------
    PlanError
        If more than one is given.

    Examples
    --------
    >>> schedule_of(nightly=True, weekly=False, cron=None)
    '0 4 * * *'
    """
    given = [expression for expression, asked in ((NIGHTLY, nightly), (WEEKLY, weekly), (cron, cron is not None)) if asked]
    if len(given) > 1:
        raise PlanError("A deployment has one schedule: give one of --nightly, --weekly and --cron.")
    return given[0] if given else None


def read_job(config: str, overrides: Sequence[str], flow: str | None) -> AnyJob:
    """Read the job of a flow; by default that of its kind.

    Raises
    ------
    PlanError
        If there is no such flow, or the file is no job of it.
    """
    if flow is not None and flow not in READERS:
        raise PlanError(f"--flow is {shown(flow)}; allowed: {listed(READERS)}.")
    return (READERS[flow] if flow else load_any)(config, overrides)


def deployment_of(job: AnyJob, config: str, overrides: Sequence[str], wanted: Wanted) -> Deployment:
    """Return the deployment of a job.

    Parameters
    ----------
    job : AnyJob
        The job.
    config : str
        Path or address of its file.
    overrides : sequence of str
        Settings that differ from the file's.
    wanted : Wanted
        What the user asks for.

    Raises
    ------
    PlanError
        If one of its paths is relative, or a value that is asked for cannot be meant.
    """
    from flows.prefect.deployments import Cron, Deployment

    _check_places(job)
    flow = wanted.flow or _FLOW_OF_COMMAND[job.command]
    slices = job.slicing
    cron = Cron(wanted.cron, wanted.time_zone or slices.time_zone) if wanted.cron else None
    if wanted.time_zone and not cron:
        raise PlanError("--time-zone is that of a schedule: give --nightly, --weekly or --cron as well.")
    name = wanted.name or PurePath(without_query(config)).stem
    parameters = {
        "config": _config_elsewhere(config),
        **({"overrides": list(overrides)} if overrides else {}),
        **_slice(job, wanted, slices, scheduled=cron is not None),
        **({} if flow == "plan" else {"overwrite": wanted.overwrite or (cron is not None and not uses_slices(job))}),
    }
    description = f"{flow} of {without_query(parameters['config'])}, for {without_query(job.sink.path)}"
    return Deployment(flow, name, description, wanted.pool, parameters, cron, _variables(wanted.job_variables))


def _config_elsewhere(config: str) -> str:
    """Return the path or address of a job's file that is the same in any working directory of this host."""
    if "://" in config or Path(config).is_absolute():
        return config
    return str(Path(config).resolve()) if Path(config).exists() else config  # an example of this package


def _check_places(job: AnyJob) -> None:
    """Refuse relative paths, and say what to paste for workers on this host."""
    relative = [f"{key} {path}" for key, paths in _places(job).items() for path in paths if _is_relative(path)]
    if relative:
        absolute = (f"--set {key}={_absolute(paths)}" for key, paths in _places(job).items() if any(map(_is_relative, paths)))
        raise PlanError(
            f"A flow run of a deployment has a working directory of its own, where relative paths lead nowhere: "
            f"{listed(relative)}. Give addresses in a bucket, such as s3://BUCKET/features, or for workers on this host: "
            f"{' '.join(map(printable, absolute))}"
        )


def _places(job: AnyJob) -> dict[str, list[str]]:
    """Paths and addresses of a job, by the key of their setting."""
    source, state = job.source.texts.get("path", ()), job.state_address
    sources = [source] if isinstance(source, str) else list(source)
    return {"source.path": sources, "sink.path": [job.sink.path], "state": [] if state is None else [state]}


def _is_relative(path: str) -> bool:
    return not is_bucket(path) and not Path(path).is_absolute()


def _absolute(paths: Sequence[str]) -> str:
    """A value for `--set` with relative paths written out, quoted for a shell."""
    whole = [str(Path.cwd() / path) if _is_relative(path) else path for path in paths]
    return shlex.quote(whole[0] if len(whole) == 1 else json.dumps(whole, ensure_ascii=False))


def _slice(job: AnyJob, wanted: Wanted, slices: SlicesSpec, *, scheduled: bool) -> dict[str, str]:
    """The parameter `slice`: what starts by a schedule runs after its slice has ended."""
    if wanted.slice is not None:
        slice_at(dt.datetime.now(dt.UTC), wanted.slice, slices)  # refuses what is no slice
        return {"slice": wanted.slice}
    return {"slice": PREVIOUS} if scheduled and uses_slices(job) and job.slice is None else {}


def _variables(given: Sequence[str]) -> dict[str, Any]:
    variables = dict[str, Any]()
    for each in given:
        name, equals, text = each.partition("=")
        if not equals or not name or name == "env":
            raise PlanError(f"--job-variable takes NAME=VALUE, such as image=emberharmony:1.0; got {shown(each)}.")
        variables[name] = parse_value(text)
    return variables


def _note(config: str) -> list[str]:
    """What a user has to see to, if the file is one of this host."""
    if is_bucket(config) or not Path(config).is_absolute():
        return []
    return [f"Workers read {config} on their own hosts. Unless these share it, copy it into a bucket and deploy its address."]


def _told(deployment: Deployment, server: str, job: AnyJob) -> Iterator[str]:
    """What was deployed, when it runs, and how to start it: a job by slice with the one that has ended last."""
    cron, name = deployment.cron, deployment.full_name
    yield f"{name} is deployed to {server}, for the work pool {deployment.pool}."
    if cron:
        yield f"It runs at {cron.expression} ({cron.time_zone})."
    else:
        yield "It has no schedule; --nightly, --weekly or --cron gives it one."
    ended = slice_at(dt.datetime.now(dt.UTC), PREVIOUS, job.slicing)
    yield f"Start it now: prefect deployment run {name} {f'--param slice={ended} ' if uses_slices(job) else ''}--watch"
