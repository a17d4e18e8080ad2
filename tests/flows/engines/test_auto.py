"""`engine: auto`: Prefect where it is in use already, and this process alone otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from prefect.context import FlowRunContext
from prefect.settings import PREFECT_API_URL, temporary_settings

from emberharmony.errors import TerminalError
from flows.config.job import parse_job
from flows.engines import base
from flows.engines.registry import ENGINES
from tests.faults.victims import small_job

AUTO = ENGINES["auto"]


@pytest.fixture
def job(tmp_path):
    data = small_job(tmp_path)
    del data["runtime"]["engine"]
    return parse_job(data)


@pytest.fixture(autouse=True)
def unconfigured(monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setattr(base, "available_cores", lambda: 4)
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        yield


def test_without_prefect_this_process_does_the_job(job):
    choice = AUTO.choose(job)
    assert choice.kind.name == "local"
    assert choice.reason == "no Prefect API is configured"
    assert "prefect server start" in choice.hint
    assert "PREFECT_API_URL" in choice.hint


def test_with_a_configured_api_it_is_prefect(job):
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}):
        choice = AUTO.choose(job)
    assert (choice.kind.name, choice.reason) == ("threads", "a Prefect API is configured")
    assert "runtime.engine=local" in choice.hint


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:1/api"])
@pytest.mark.parametrize(
    ("workers", "backend", "is_told"), [(4, "numpy", False), (5, "numpy", True), (None, "numpy", True), (5, "torch", False)]
)
def test_many_threads_are_told_of_processes(tmp_path, url, workers, backend, is_told, monkeypatch):
    monkeypatch.setattr(base, "available_cores", lambda: 5)
    data = small_job(tmp_path, runtime={"engine": "auto", "workers": workers, "backend": backend})
    with temporary_settings({PREFECT_API_URL: url}):
        hint = AUTO.choose(parse_job(data)).hint
    assert ("runtime.engine=processes" in hint) == is_told
    assert ("5 threads hardly do more than 4" in hint) == is_told


@pytest.mark.parametrize(("engine", "is_told"), [("local", True), ("threads", True), ("processes", False)])
def test_so_are_those_that_a_job_names(tmp_path, engine, is_told):
    choice = parse_job(small_job(tmp_path, runtime={"engine": engine, "workers": 5})).choose_engine()
    assert choice.kind.name == engine
    assert ("runtime.engine=processes" in choice.hint) == is_told


def test_the_variable_configures_it_as_well(monkeypatch, job):
    monkeypatch.setenv("PREFECT_API_URL", "no address")
    with pytest.raises(TerminalError, match="PREFECT_API_URL is 'no address'"):
        AUTO.choose(job)


def test_inside_a_flow_run_it_is_prefect(job):
    with FlowRunContext.model_construct():
        choice = AUTO.choose(job)
    assert (choice.kind.name, choice.reason) == ("threads", "the job runs inside a Prefect flow")


def test_credentials_in_a_block_need_prefect(tmp_path):
    data = small_job(
        tmp_path, source={"type": "bigquery", "table": "my-project.b.c", "connection": {"credentials_block": "prod"}}
    )
    del data["runtime"]["engine"]
    choice = parse_job(data).choose_engine()
    assert (choice.kind.name, choice.reason) == ("threads", "its credentials are in a Prefect block")


def test_it_is_the_default_and_an_engine_that_is_named_stays(tmp_path, job):
    assert job.runtime.engine == "auto"
    assert job.engine.name == "local"
    assert job.resources == parse_job(small_job(tmp_path)).resources
    named = parse_job(small_job(tmp_path, runtime={"engine": "threads"}))
    assert named.choose_engine()[1:] == ("runtime.engine is threads", "")


def test_the_command_says_which_engine_it_used_and_imports_no_prefect(tmp_path):
    data = small_job(tmp_path)
    del data["runtime"]["engine"]
    (tmp_path / "job.yaml").write_text(__import__("json").dumps(data))
    code = "import sys; from emberharmony.__main__ import main\ntry: main()\nfinally: print('prefect' in sys.modules)"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    done = subprocess.run(
        [sys.executable, "-c", code, "run", str(tmp_path / "job.yaml"), "--quiet"],
        capture_output=True,
        text=True,
        env=environment | {"PREFECT_HOME": str(tmp_path / "prefect"), "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=tmp_path,
        check=True,
    )
    assert "engine    local: no Prefect API is configured. To see runs in the Prefect UI" in done.stdout
    assert done.stdout.splitlines()[-1] == "False"
