"""Events about results, for automations: published, drifted, refused.

Each has the sink as its resource, `emberharmony.sink.ADDRESS`, and the flow run as a related one.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prefect.events import emit_event

from emberharmony.errors import EmberharmonyError, ExpectationError, to_json
from emberharmony.features.drift import drift_verdict
from emberharmony.io.manifest import Manifest
from emberharmony.messages import shortened
from emberharmony.pipeline.execute import RunResult
from emberharmony.report.drift_rows import by_drift
from flows.prefect.names import ResultName, shown_address

PUBLISHED = "emberharmony.published"
DRIFT = "emberharmony.drift"
EXPECTATION_FAILED = "emberharmony.expectation-failed"
REFUSED = "emberharmony.refused"
EVENT_OF_ERROR: Mapping[type[EmberharmonyError], str] = {ExpectationError: EXPECTATION_FAILED}
"""Events of errors that have one of their own, at whatever moment they are raised."""
MAX_NAMED = 10
MAX_MESSAGE_CHARS = 2_000

_log = logging.getLogger(__name__)


def emit_published(result: RunResult, name: ResultName, kind: str, *, source: str) -> None:
    """Tell that a result was published, and that columns have drifted far if some have; an event that is lost is a warning.

    Parameters
    ----------
    result : RunResult
        What was published.
    name : ResultName
        The sink and slice.
    kind : str
        The command: ``run``, ``fit`` or ``apply``.
    source : str
        Name of the table that was read.
    """
    manifest = result.manifest
    far = [column for column in by_drift(manifest.drift) if drift_verdict(manifest.drift[column]) == "drifted far"]
    payload = {
        "sink": shown_address(result.sink),
        "fingerprint": manifest.fingerprint,
        "source": source,
        "rows": manifest.n_rows,
        "rows_by_split": dict(manifest.rows),
        "windows": manifest.windows_by_stride,
        "state": shown_address(manifest.applied_state.get("address", result.sink)),
        "expectations": dict(Counter(str(verdict["outcome"]) for verdict in manifest.expectations)),
        "n_drifted": len(far),
        "worst_drift": _drift_of(manifest, by_drift(manifest.drift)[0]) if manifest.drift else None,
    }
    _emit(PUBLISHED, name, kind, payload)
    if far:
        _emit(DRIFT, name, kind, payload | {"drifted": [_drift_of(manifest, column) for column in far[:MAX_NAMED]]})


@contextmanager
def failures_told(name: ResultName, kind: str, *, is_planned: Callable[[], bool]) -> Iterator[None]:
    """Tell that a job was refused when it was planned, or that it failed in a way that has an event of its own.

    Prefect tells other failures itself.

    Parameters
    ----------
    name : ResultName
        The sink and slice.
    kind : str
        The command: ``run``, ``fit`` or ``apply``.
    is_planned : callable
        Whether the job has been planned, at the moment of the failure.
    """
    try:
        yield
    except EmberharmonyError as error:
        if event := event_of(error, is_planned=is_planned()):
            data = to_json(error)
            message = shortened(data["message"], MAX_MESSAGE_CHARS)
            _emit(event, name, kind, {**data["fields"], "error": type(error).__name__, "message": message})
        raise


def event_of(error: EmberharmonyError, *, is_planned: bool) -> str | None:
    """Return the event of an error, or ``None`` if it has none."""
    own = (event for cls, event in EVENT_OF_ERROR.items() if isinstance(error, cls))
    return next(own, None if is_planned or error.retryable else REFUSED)


def _drift_of(manifest: Manifest, column: str) -> dict[str, Any]:
    found = manifest.drift[column]
    figures = {figure: round(value, 3) for figure, value in found.items()}
    return {"column": column, "verdict": drift_verdict(found), **figures}


def _emit(event: str, name: ResultName, kind: str, payload: Mapping[str, Any]) -> None:
    resource = {
        "prefect.resource.id": f"emberharmony.sink.{name.uri}",
        "prefect.resource.name": name.title(kind),
        "emberharmony.kind": kind,
        "emberharmony.slice": name.slice_name,
    }
    try:
        emit_event(event, resource=resource, payload={"slice": name.slice_name, "kind": kind, **payload})
    except Exception as error:  # noqa: BLE001 - whatever it is, the job is done or has an error of its own
        _log.warning("The event %s was not sent: %s", event, error)
