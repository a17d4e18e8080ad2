"""The private names of other libraries: each is there, does what it is used for, and is used in one module alone."""

from __future__ import annotations

import ast
import inspect
import queue
import re
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import cloudpickle
import pytest
from prefect import flow
from prefect.context import FlowRunContext, hydrated_context, serialize_context
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, Settings, temporary_settings
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import BaseModel, ValidationError
from pydantic_core import SchemaValidator

from flows.prefect import private

ROOT = Path(__file__).parents[3]
CHECKED = {"prefect": ("3.9",), "pydantic_core": ("2.50",)}
"""Versions whose sources were read for these names."""

pytestmark = pytest.mark.xdist_group("prefect")


@pytest.mark.parametrize("library", CHECKED)
def test_the_names_were_checked_with_this_version(library):
    release = ".".join(version(library).split(".")[:2])
    assert release in CHECKED[library], (
        f"flows/prefect/private.py was checked with {library} {' and '.join(CHECKED[library])}, not {version(library)}. Read "
        f"what has become of the names in it, then add {release} to CHECKED in this test."
    )


def test_events_wait_in_a_queue(monkeypatch):
    waiting = queue.Queue()
    waiting.put("event")
    service = SimpleNamespace(_queue=waiting)
    monkeypatch.setattr(EventsWorker, "instance", lambda: service)
    assert private.n_waiting_events() == 1
    monkeypatch.setattr(EventsWorker, "_instances", {1: service})  # no AttributeError: the class has it
    private.drop_waiting()
    assert private.n_waiting_events() == 0


def test_what_a_server_did_not_take_in_time_is_dropped_and_its_service_ends(monkeypatch):
    full, empty = SimpleNamespace(_queue=queue.Queue()), SimpleNamespace(_queue=queue.Queue())
    monkeypatch.setattr(EventsWorker, "_instances", {1: full, 2: empty})

    def drain_all(timeout):
        for item in ("event", "event", None):
            full._queue.put(item)

    monkeypatch.setattr(EventsWorker, "drain_all", drain_all)
    private.drain_events(0.1)
    assert list(full._queue.queue) == [None], "the mark at which a stopped service ends"
    assert list(empty._queue.queue) == []
    source = "".join(inspect.getsource(cls) for cls in EventsWorker.__mro__ if cls.__module__.startswith("prefect."))
    assert "if item is None:" in source


def test_the_class_of_services_has_that_queue():
    """Read, not started: a service looks for a server."""
    source = "".join(inspect.getsource(cls) for cls in EventsWorker.__mro__ if cls.__module__.startswith("prefect."))
    assert "self._queue: queue.Queue" in source
    assert isinstance(EventsWorker._instances, dict)
    assert "timeout" in inspect.signature(EventsWorker.drain_all).parameters


def test_a_task_run_is_forgotten():
    task_run_id = uuid4()
    with ThreadPoolTaskRunner(max_workers=1) as runner:
        assert runner._cancel_events == {}
        runner._cancel_events[task_run_id] = None
        private.forget_task_run(runner, task_run_id)
        private.forget_task_run(runner, task_run_id)
        assert runner._cancel_events == {}
    private.forget_task_run(object(), task_run_id)


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "as Prefect does"])
def test_settings_arrive_at_a_worker_without_being_read_again(monkeypatch, whole):
    settings = {PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 7}
    with temporary_settings(settings), private.context_sent_whole() if whole else nullcontext():
        sent = cloudpickle.dumps(serialize_context())
    made, sources = [], Settings.settings_customise_sources
    monkeypatch.setattr(
        Settings, "settings_customise_sources", lambda *given, **more: made.append(1) or sources(*given, **more)
    )
    with hydrated_context(cloudpickle.loads(sent)):
        assert (PREFECT_API_URL.value(), PREFECT_CLIENT_MAX_RETRIES.value()) == tuple(settings.values())
    assert bool(made) is not whole


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "as Prefect does"])
def test_the_storage_of_results_arrives_without_imports_of_all_integrations(prefect_server, monkeypatch, whole):
    loads = []
    monkeypatch.setattr("prefect.blocks.core.load_prefect_collections", lambda: loads.append(1))

    @flow(name="sending", persist_result=False)
    def sending() -> tuple[bytes, Any]:
        with private.context_sent_whole() if whole else nullcontext():
            context = FlowRunContext.get()
            assert context is not None
            return cloudpickle.dumps(serialize_context()), context.result_store.result_storage

    sent, storage = sending()
    with hydrated_context(cloudpickle.loads(sent)):
        arrived = FlowRunContext.get()
        assert arrived is not None
        assert (arrived.flow.name, arrived.detached) == ("sending", True)
        found = arrived.result_store.result_storage
        assert (type(found), found.basepath) == (type(storage), storage.basepath)
    assert bool(loads) is not whole


@pytest.mark.parametrize(
    ("model", "field", "variable"),
    [("APISettings", "url", "PREFECT_API_URL"), ("ServerAPISettings", "port", "PREFECT_SERVER_API_PORT")],
)
def test_the_variables_of_a_setting(model, field, variable):
    assert variable in private.setting_variables(model, field)


def test_the_server_reads_its_variables():
    module, name = private.SERVER_FACTORY.split(":")
    source = inspect.getsource(__import__(module, fromlist=[name]))
    assert f"def {name}(" in source
    for variable in private.SERVER_OF_ONE_PROCESS:
        assert re.search(rf'os\.getenv\("{variable}"', source), variable


class Lenient(BaseModel):
    number: int


def test_strictness_hangs_on_a_private_argument():
    assert "_use_prebuilt" in SchemaValidator.__text_signature__

    class Holder(BaseModel):
        inner: Lenient

    schema = Holder.__pydantic_core_schema__
    with pytest.raises(ValidationError):
        private.validator_of(strict(schema)).validate_python({"inner": {"number": "1"}})


def strict(schema):
    """The schema with strict integers."""
    if isinstance(schema, dict):
        changed = {key: strict(part) for key, part in schema.items()}
        return {**changed, "strict": True} if schema.get("type") == "int" else changed
    return schema


def private_uses(source: str) -> list[str]:
    """Private names in a file that are neither its own nor those of its objects."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
            found.append(node.attr)
        if isinstance(node, ast.ImportFrom) and node.module:
            found += [*node.module.split("."), *(alias.name for alias in node.names)]
    return [name for name in found if re.fullmatch(r"_[a-z]\w*", name) and name != "_exit"]  # of the standard library


def test_no_other_module_uses_private_names():
    files = [path for package in ("flows", "tasks") for path in (ROOT / package).rglob("*.py")]
    found = {str(path): private_uses(path.read_text()) for path in files if path != Path(private.__file__)}
    assert {path: names for path, names in found.items() if names} == {}
    assert private_uses("from prefect._internal import a\nx._queue\nself._own") == ["_internal", "_queue"]
