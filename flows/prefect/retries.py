"""Retries of a flow run: which failures are retried, and what becomes of `overwrite` then.

Prefect retries a flow run that fails as often as `PREFECT_FLOWS_DEFAULT_RETRIES` says, which prefect.yaml sets for the pools.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.runtime import flow_run

from emberharmony.errors import DataError, EmberharmonyError, TransientError
from flows.prefect.outages import outages_told

T = TypeVar("T")

_log = logging.getLogger(__name__)


@contextmanager
def refusals_final() -> Iterator[None]:
    """Have Prefect retry the current flow run only if it fails in a way that may pass."""
    try:
        yield
    except EmberharmonyError as error:
        if not error.retryable:
            _end_retries()
        raise


def resumed_or_begun(work: Callable[[bool], T], *, overwrite: bool, is_planned: Callable[[], bool]) -> T:
    """Call `work` with `overwrite`; a retry of the flow run resumes what its earlier try has begun instead of starting over.

    Parameters
    ----------
    work : callable
        Runs the job; takes whether it starts over, and replaces the published result.
    overwrite : bool
        What the flow run was asked for.
    is_planned : callable
        Whether the job has been planned, at the moment of a failure.
    """
    if overwrite and is_retry():
        try:
            return work(False)
        except DataError:
            # Refused when planned: the earlier try ended before it had noted that it may replace what is published.
            if is_planned():
                raise
    return work(overwrite)


def is_retry() -> bool:
    """Whether an earlier try of the current flow run has begun."""
    return bool(flow_run.run_count > 1)


def _end_retries() -> None:
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or not run.empirical_policy.retries:
        return
    try:
        with outages_told(), get_client(sync_client=True) as client:
            client.update_flow_run(run.id, empirical_policy=run.empirical_policy.model_copy(update={"retries": 0}))
    except TransientError as outage:
        _log.warning("%s The flow run may be retried, although its job was refused.", outage)
