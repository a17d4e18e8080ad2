"""Engines by name: an engine is a subclass and a line in the registry, and everything else follows."""

from __future__ import annotations

import logging
import subprocess
import sys
from contextlib import contextmanager

import pytest

from emberharmony.errors import PlanError
from flows.config.job import parse_job
from flows.engines.base import EngineKind
from flows.engines.local import LocalEngine
from flows.engines.registry import ENGINES, current_name
from flows.run import run
from tests.faults.victims import contents, small_job


class Backwards(LocalEngine):
    """Begins with the last chunk."""

    name = "backwards"

    def map(self, stage, ref, chunks):
        yield from super().map(stage, ref, list(chunks)[::-1])


class BackwardsKind(EngineKind):
    name = "backwards"
    uses_prefect = False

    @contextmanager
    def open(self, job):
        yield Backwards(job.workers)


def test_an_engine_from_outside_runs_a_job(monkeypatch, tmp_path):
    """A class and a line: the job's settings, the plan and the command all go through the registry."""
    job = small_job(tmp_path, sink="backwards", runtime={"engine": "backwards"})
    with pytest.raises(PlanError, match=r"runtime\.engine is 'backwards'; allowed: 'auto', 'local', .* or 'pools'"):
        parse_job(job)
    monkeypatch.setitem(ENGINES, "backwards", BackwardsKind())
    assert run(parse_job(job)).engine == "backwards"
    run(parse_job(small_job(tmp_path, sink="local")))
    assert contents(tmp_path / "backwards") == contents(tmp_path / "local")


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_is_registered_by_its_name(name):
    assert ENGINES[name].name == current_name(name) == name


def test_a_former_name_still_works_and_is_told(caplog, tmp_path):
    with caplog.at_level(logging.WARNING):
        job = parse_job(small_job(tmp_path, runtime={"engine": "none"}))
    assert job.runtime.engine == "local"
    assert "runtime.engine: none is now called local." in caplog.text


def test_a_wrong_name_is_told_with_the_nearest_one(tmp_path):
    with pytest.raises(PlanError, match="Did you mean 'threads'"):
        parse_job(small_job(tmp_path, runtime={"engine": "thread"}))


def test_the_registry_loads_no_engine(tmp_path):
    """Every command reads the registry: no engine's libraries may slow it down."""
    heavy = ["prefect", "dask", "distributed", "ray", "fastapi", "sqlalchemy"]
    code = f"import sys, flows.config.job; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
