"""SIGINT and SIGTERM stop a run within seconds and the next run resumes it; two runs of one job never mix."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from flows.run import _QUIET
from tests.faults.victims import contents, receipts, run, run_here, small_job, start, wait_until
from tests.servers.forks import Forks

pytestmark = pytest.mark.xdist_group("prefect-engines")  # which has the server of forks

FORKED = """
import multiprocessing.spawn
from types import SimpleNamespace
from flows.cli.app import main
from flows.prefect import temporary_server

temporary_server.sys = SimpleNamespace(executable={0!r})
multiprocessing.spawn.set_executable({0!r})
{1}
"""
"""The command, whose Prefect server and worker processes are forks as well."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("signals")


@pytest.fixture(scope="module")
def undisturbed(folder) -> dict[str, str]:
    assert run(small_job(folder, sink="undisturbed")) == 0
    return contents(folder / "undisturbed")


@pytest.fixture(scope="module")
def undisturbed_in_small_chunks(folder) -> dict[str, str]:
    assert run(small_job(folder, sink="undisturbed-40", runtime={"chunk_rows": 40})) == 0
    return contents(folder / "undisturbed-40")


def command(job: dict, folder: Path, forks: Forks | None = None, program: str = "main()") -> list[str]:
    """Start a run in a new process, or as a fork, which spares seconds of imports."""
    path = folder / "job.yaml"  # JSON is YAML
    path.write_text(json.dumps(job))
    arguments = ["run", str(path), "--quiet"]
    if forks:
        return forks.command("-c", FORKED.format(forks.python, program), *arguments)
    return [sys.executable, "-c", "from flows.cli.app import main; main()", *arguments]


ENGINES = [
    ("local", signal.SIGINT),
    ("local", signal.SIGTERM),
    ("threads", signal.SIGINT),
    ("processes", signal.SIGTERM),
    ("dask", signal.SIGINT),
    ("ray", signal.SIGTERM),
]


@pytest.mark.parametrize(("engine", "number"), ENGINES)
def test_a_signal_stops_the_command_and_the_next_one_goes_on(undisturbed_in_small_chunks, folder, forks, engine, number):
    """The local ones are new processes."""
    job = small_job(folder, sink=f"stopped-{engine}-{number}", runtime={"engine": engine, "chunk_rows": 40, "workers": 2})
    line = command(job, folder, forks if engine != "local" else None)
    environment = os.environ | _QUIET  # a run sets it before it imports Prefect, and a fork has done so
    before = {*psutil.Process().children(recursive=True)}
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment) as process:
        wait_until(lambda: len(receipts(job)) >= 5 or process.poll() is not None)
        children = [child for child in psutil.Process().children(recursive=True) if child not in before]
        assert engine == "local" or len(children) > 3, "stand-ins and forks of the run and its Prefect server"
        process.send_signal(number)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 128 + number, said
    advice = f"Stopped. What is done is kept in {job['sink']['path']}; run the same command again to go on where it stopped."
    lines = said.strip().splitlines()
    assert advice in lines
    assert lines == [advice] or engine in ("dask", "ray"), "these two speak on their own as well"
    assert "Traceback" not in said
    _, alive = psutil.wait_procs(children, timeout=120)
    assert not alive, "the run's Prefect server lives on"
    assert not (Path(job["sink"]["path"]) / "manifest.json").exists()
    again = small_job(folder, sink=Path(job["sink"]["path"]).name, runtime={"chunk_rows": 40})
    kept = len(receipts(job))
    assert kept >= 5
    run_here(again)
    assert contents(Path(job["sink"]["path"])) == undisturbed_in_small_chunks


IN_A_SERIALIZER = """
import os, signal, time
from flows.engines.task_runs import PrefectEngine
from pydantic import BaseModel, model_serializer

class Interrupted(BaseModel):
    @model_serializer
    def within(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

PrefectEngine._submit = lambda *_: Interrupted().model_dump()
main()
"""


def test_a_signal_that_comes_in_a_serializer_stops_the_command(folder, forks):
    """Pydantic turns the exception of Prefect's signal handler into a serialization error."""
    job = small_job(folder, sink="serializer", runtime={"engine": "threads"})
    arguments = command(job, folder, forks, IN_A_SERIALIZER)
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert "Stopped. What is done is kept in" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_does_not_answer_is_named(folder, forks):
    job = small_job(folder, sink="no-server", runtime={"engine": "threads"})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # and nobody listens
        api = f"http://127.0.0.1:{free.getsockname()[1]}/api"
        environment = os.environ | {"PREFECT_API_URL": api.replace("//", "//user:secret@")}
        line = command(job, folder, forks)
        done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1
    assert f"error: The Prefect server at {api} does not answer ([Errno 111] Connection refused)." in done.stderr
    assert "Run the same command again when the server is back" in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
    assert not (Path(job["sink"]["path"]) / "manifest.json").exists()


def test_of_two_runs_at_once_one_works_and_the_other_says_so(undisturbed, folder):
    job = small_job(folder, sink="twice")
    first = start(job)
    wait_until(lambda: receipts(job))
    os.kill(first.pid, signal.SIGSTOP)  # paused in the middle of its work until the second run ends
    try:
        second = subprocess.run(command(job, folder), capture_output=True, text=True, timeout=300, check=False)
    finally:
        os.kill(first.pid, signal.SIGCONT)
    assert second.returncode == 1
    assert f"Another run is at work on {job['sink']['path']}: process {first.pid} on" in second.stderr
    first.join()
    assert first.exitcode == 0
    assert contents(Path(job["sink"]["path"])) == undisturbed
    assert not (Path(job["sink"]["path"]) / ".staging").exists()


def test_many_runs_at_once_end_with_one_result(undisturbed, folder):
    job = small_job(folder, sink="many")
    processes = [start(job) for _ in range(4)]
    for process in processes:
        process.join()
    assert 0 in [process.exitcode for process in processes]
    run_here(job)
    assert contents(Path(job["sink"]["path"])) == undisturbed


def test_a_killed_run_leaves_no_lock(undisturbed, folder):
    job = small_job(folder, sink="unlocked")
    first = start(job)
    wait_until(lambda: receipts(job))
    first.kill()
    first.join()
    assert (Path(job["sink"]["path"]) / ".staging/lock").exists(), "the file is left, but nobody holds it"
    run_here(job)
    assert contents(Path(job["sink"]["path"])) == undisturbed
