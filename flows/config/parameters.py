"""The job of a flow run, from its parameters: as a whole or by its file, with overrides, and with its slice."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import PurePath
from typing import Any, Final

from emberharmony.errors import EmberharmonyError, PlanError
from emberharmony.io.store.address import without_query
from emberharmony.messages import shortened, shown
from emberharmony.slices import SlicesSpec, placeholders_in
from flows.config.files import EXAMPLES
from flows.config.job import AnyJob, ApplyJob, FitJob, Job, JobT, load_any, load_job
from flows.prefect.names import ResultName

CURRENT: Final = "current"
"""In place of a slice's name: the slice that holds the scheduled start time of the flow run."""
PREVIOUS: Final = "previous"
"""The slice before that one, which has ended when the flow run starts."""

Reader = Callable[[str, Sequence[str]], JobT]
"""Reads the job at a path or an address, with overrides."""

READERS: Final[Mapping[str, Reader[Any]]] = {
    "extract": partial(load_job, model=Job),
    "fit": partial(load_job, model=FitJob),
    "apply": partial(load_job, model=ApplyJob),
    "plan": load_any,
}
"""How each flow reads the file of its job."""


def job_of_parameters(
    read: Reader[JobT],
    job: JobT | None,
    config: str | None,
    overrides: Sequence[str] | None,
    slice_name: str | None,
    scheduled: dt.datetime,
) -> JobT:
    """Return the job that a flow run's parameters describe.

    Parameters
    ----------
    read : callable
        Reads the job of a file.
    job, config
        The whole job, or the path or address of its file: one of the two.
    overrides : sequence of str, optional
        Settings that differ from the file's, such as ``windows.size=8``.
    slice_name : str, optional
        Name of the slice, ``current`` or ``previous``; by default the job's own, and then ``current`` if the job uses slices.
    scheduled : datetime
        Scheduled start time of the flow run, with a time zone.

    Raises
    ------
    PlanError
        If there is not exactly one of `job` and `config`, or it is not a job, or there is no such slice.
    """
    chosen = _chosen(read, job, config, overrides)
    wanted = slice_name or chosen.slice or (CURRENT if uses_slices(chosen) else None)
    if wanted is None:
        return chosen
    return chosen.with_slice(slice_at(scheduled, wanted, chosen.slicing))


def slice_at(scheduled: dt.datetime, wanted: str, slices: SlicesSpec) -> str:
    """Return the name of a slice for a flow run.

    Parameters
    ----------
    scheduled : datetime
        Scheduled start time of the flow run, with a time zone.
    wanted : str
        ``current``, ``previous``, or a name.
    slices : SlicesSpec
        The length of slices, and the time zone in which they begin.

    Raises
    ------
    PlanError
        If no slice has that name.

    Examples
    --------
    >>> late = dt.datetime(2026, 11, 29, 2, tzinfo=dt.UTC)
    >>> slice_at(late, "current", SlicesSpec()), slice_at(late, "current", SlicesSpec(time_zone="America/New_York"))
    ('2026-11-29', '2026-11-28')
    >>> slice_at(late, "previous", SlicesSpec()), slice_at(late, "previous", SlicesSpec(every="week"))
    ('2026-11-28', '2026-11-16')
    """
    holding = slices.holding(scheduled)
    if wanted == CURRENT:
        return holding.name
    if wanted == PREVIOUS:
        return slices.holding(holding.start - dt.timedelta(microseconds=1)).name
    if ".." in wanted:
        raise PlanError(
            f"slice is {shown(wanted)}, but a flow run makes one slice. `emberharmony apply CONFIG --slice "
            f"{shortened(wanted)}` runs those of a range that are missing, with a Prefect server each as a flow run."
        )
    return slices.named(wanted).name


def uses_slices(job: AnyJob) -> bool:
    """Whether a job is run slice by slice: it has a section `slices`, or names a slice in its source or sink."""
    texts = (*job.source.texts.values(), *job.sink.texts.values())
    return job.slices is not None or any(map(placeholders_in, texts))


def current_job(
    read: Reader[JobT], job: JobT | None, config: str | None, overrides: Sequence[str] | None, slice_name: str | None
) -> JobT:
    """Return the job of the current flow run; parameters and errors as in `job_of_parameters`.

    A refusal ends the flow run's retries: the parameters will be the same.
    """
    from prefect.runtime import deployment, flow_run

    from flows.prefect.retries import refusals_final

    with refusals_final():
        if config is not None and deployment.id is not None:
            check_config_is_found(config)
        # A datetime of the standard library: Prefect's own warns of what it will no longer do.
        scheduled = dt.datetime.fromtimestamp(flow_run.scheduled_start_time.timestamp(), dt.UTC)
        return job_of_parameters(read, job, config, overrides, slice_name, scheduled)


def check_config_is_found(config: str) -> None:
    """Refuse a relative path: the working directory of a deployment's flow run is a new one.

    Raises
    ------
    PlanError
        If `config` is neither an address, nor an absolute path, nor one of this package's examples.

    Examples
    --------
    >>> check_config_is_found("s3://lake/jobs/nightly.yaml")
    >>> check_config_is_found("nightly.yaml")
    Traceback (most recent call last):
    emberharmony.errors.PlanError: config is nightly.yaml, relative to the working directory of this flow run, which ...
    """
    path = PurePath(config)
    if "://" not in config and not path.is_absolute() and path.parts[:1] != (EXAMPLES,):
        raise PlanError(
            f"config is {shortened(config)}, relative to the working directory of this flow run, which is a new one. In a "
            f"deployment, give an address, such as s3://BUCKET/job.yaml, or an absolute path."
        )


def title_of(read: Reader[Any]) -> Callable[[], str]:
    """Return what names the current flow run after its job: `apply features 2026-11-28`."""

    def title() -> str:
        from prefect.runtime import flow_run

        given = flow_run.parameters
        job, config, overrides, name = (given.get(key) for key in ("job", "config", "overrides", "slice"))
        try:
            return ResultName.of(current_job(read, job, config, overrides, name)).title(flow_run.flow_name)
        except EmberharmonyError:  # the flow itself will raise it
            return " ".join(filter(None, [flow_run.flow_name, PurePath(without_query(config or "")).stem, name]))

    return title


def _chosen(read: Reader[JobT], job: JobT | None, config: str | None, overrides: Sequence[str] | None) -> JobT:
    if config is not None and job is None:
        return read(config, overrides or ())
    if job is None or config is not None:
        raise PlanError(
            "A flow run takes one of two parameters: `config`, the path or address of a job file, or `job`, the whole job. "
            f"{'Both are' if config is not None else 'Neither is'} given."
        )
    if overrides:
        raise PlanError(f"`overrides` change settings of the file `config`; write {shown(overrides[0])} into `job` itself.")
    return job
