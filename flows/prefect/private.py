"""Private names of Prefect and pydantic: all that this package uses are here.

Another version may rename or remove them without notice: tests/flows/prefect/test_private.py names the versions that they
were checked with. Each function imports what it needs, because commands that do not use Prefect import this module, too.
"""

from __future__ import annotations

import queue
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from cyclopts import App
    from pydantic_core import SchemaValidator

SERVER_FACTORY = "prefect.server.api.server:create_app"
"""Makes the web application that `prefect server start` serves."""
SERVER_OF_ONE_PROCESS: Mapping[str, str] = {"PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
"""Variables with which Prefect starts a server of its own for one process, without the services that many clients need."""


def command_line() -> App:
    """Return the command line `prefect`, which parses commands without running them."""
    from prefect.cli._app import _app

    return _app


def n_waiting_events() -> int:
    """Return the number of events that wait for the server; Prefect queues them without a bound."""
    from prefect.events.worker import EventsWorker

    return EventsWorker.instance()._queue.qsize()


def drop_waiting() -> None:
    """Drop the events and logs that wait for the server; Prefect's attempts to send each of them would delay the exit."""
    from prefect.events.worker import EventsWorker

    for service in list(EventsWorker._instances.values()):  # the base class holds the services of all kinds
        _drop(service)


def drain_events(timeout_s: float) -> None:
    """Send the events that wait for a server that is about to end, such as the last states of a flow run; drop what is left.

    Prefect would try to send each of them when the process ends, which takes seconds for each.
    """
    from prefect.events.worker import EventsWorker

    services = list(EventsWorker._instances.values())
    EventsWorker.drain_all(timeout=timeout_s)
    for service in services:
        if _drop(service):
            service._queue.put_nowait(None)  # at this mark, a stopped service ends


def _drop(service: Any) -> int:
    """Empty the queue of a service; returns how many items were in it."""
    n_dropped = 0
    with suppress(queue.Empty):
        while True:
            service._queue.get_nowait()
            n_dropped += 1
    return n_dropped


def forget_task_run(runner: object, task_run_id: UUID) -> None:
    """Free what Prefect keeps of a task run that is done, and never frees itself: 1 kB in its runner, 3 kB for its result.

    The flow run keeps the state of each result, to know which task run made it when it is given to another. Ours are given to
    none. Runners on clusters keep nothing.
    """
    from prefect.context import FlowRunContext

    getattr(runner, "_cancel_events", {}).pop(task_run_id, None)
    flow_run = FlowRunContext.get()
    if flow_run is not None:
        flow_run.run_results.clear()


@contextmanager
def context_sent_whole() -> Iterator[None]:
    """Send the settings that hold here, and the flow run's storage of results, to the workers of a cluster as they are.

    Prefect sends dictionaries, of which the worker makes new objects for every task run. For the settings it reads the
    environment and all files some thirty times: measured, four fifths of the CPU time of a worker whose chunks are small. For
    the storage it imports all of Prefect's integrations, and with them Ray and Google's libraries: 1.5 s and 155 MB for each
    worker.
    """
    from prefect.context import FlowRunContext, SettingsContext, get_settings_context

    current, flow_run = get_settings_context(), FlowRunContext.get()
    profile = cache(lambda: current.serialize()["profile"])  # not needed where all tasks run in this process

    class WholeSettings(SettingsContext):
        def serialize(self, include_secrets: bool = True) -> dict[str, Any]:
            return {"profile": profile(), "settings": self.settings}

    class WithStorage(FlowRunContext):
        def serialize(self, include_secrets: bool = True) -> dict[str, Any]:
            sent: dict[str, Any] = super().serialize(include_secrets)
            sent["result_store"]["result_storage"] = self.result_store.result_storage
            return sent

    with ExitStack() as stack:
        stack.enter_context(WholeSettings(profile=current.profile, settings=current.settings))
        if flow_run is not None:
            stack.enter_context(WithStorage.model_construct(flow_run.model_fields_set, **dict(flow_run)))
        yield


def setting_variables(model: str, field: str) -> list[str]:
    """Return the environment variables that set a field of one of Prefect's models of settings."""
    base = sys.modules["prefect.settings.base"].PrefectBaseSettings
    found = next((cls for cls in _subclasses(base) if cls.__name__ == model), base)
    own = f"{found.model_config.get('env_prefix') or 'PREFECT_'}{field}"
    known = found.model_fields.get(field)
    aliases = getattr(known and known.validation_alias, "choices", [])
    return list(dict.fromkeys(name.upper() for name in [own, *(a for a in aliases if isinstance(a, str))]))


def _subclasses(cls: Any) -> Iterator[Any]:
    for one in cls.__subclasses__():
        yield one
        yield from _subclasses(one)


def validator_of(schema: Any) -> SchemaValidator:
    """Build a validator of a core schema.

    Without the private last argument, pydantic would use the validators that the schema's models already carry.
    """
    from pydantic_core import SchemaValidator

    return SchemaValidator(schema, None, False)
