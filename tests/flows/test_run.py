"""Run a job from Python: on the engine that it names, and quietly."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from emberharmony.pipeline.callback import Callback
from flows import run as room
from flows.config.job import parse_job
from flows.engines.local import LocalEngine
from flows.run import quiet_prefect, run, same_command
from tests.faults.victims import small_job


@pytest.mark.parametrize(("overwrite", "words"), [(False, "the same command"), (True, "the same command without --overwrite")])
def test_a_resumed_run_does_not_start_over(overwrite, words):
    assert same_command(overwrite) == words


def test_what_a_user_has_set_stays(monkeypatch):
    monkeypatch.setattr(os, "environ", {"PREFECT_LOGGING_LEVEL": "DEBUG"})
    quiet_prefect()
    assert os.environ["PREFECT_LOGGING_LEVEL"] == "DEBUG"
    assert os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


def test_a_published_result_needs_no_server(tmp_path, monkeypatch):
    """Whatever the engine: there is nothing to do."""
    assert run(parse_job(small_job(tmp_path))).did_work
    monkeypatch.setattr(room, "server_if_needed", lambda *_, **__: pytest.fail("a server was started"))
    result = run(parse_job(small_job(tmp_path, runtime={"engine": "threads"})))
    assert not result.did_work
    assert result.manifest.source_rows == 1500


def test_callbacks_hear_of_every_chunk(tmp_path):
    class Counting(Callback):
        def __init__(self):
            self.stages, self.rows, self.ended = [], 0, []

        def planned(self, event):
            assert (event.plan.n_rows, event.backend) == (1500, "numpy:cpu")

        def stage_started(self, event):
            self.stages.append(event.stage.name)

        def item_done(self, event):
            self.rows += event.n_rows

        def stage_ended(self, event):
            self.ended.append(event.stage.name)

    callback = Counting()
    run(parse_job(small_job(tmp_path)), callback)
    assert callback.stages[-6:] == ["profile", "fit", "featurize", "fit-pca", "project", "publish"]
    assert callback.rows >= 3 * 1500  # profile, featurize and project
    assert callback.ended == callback.stages


def test_the_engine_is_closed_if_the_job_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(LocalEngine, "map", lambda *_: (_ for _ in ()).throw(ZeroDivisionError))
    with pytest.raises(ZeroDivisionError):
        run(parse_job(small_job(tmp_path)))


def test_importing_it_imports_no_prefect():
    code = "import sys, flows.run; print('prefect' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
