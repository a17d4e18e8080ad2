"""Law 3: every engine publishes, byte for byte, what the local engine publishes; and loses no chunk when it loses a worker."""

from __future__ import annotations

import importlib.util
import threading
from pathlib import Path

import psutil
import pytest

from flows.config.job import parse_job
from flows.run import run
from tests.faults.victims import contents, receipts, small_job, wait_until, worker_processes

pytestmark = [
    pytest.mark.xdist_group("prefect-engines"),
    pytest.mark.usefixtures("forked_workers", "prefect_server"),
    # The warnings of Dask's and Ray's libraries change with every release.
    pytest.mark.filterwarnings("default"),
]

ENGINES = ["threads", "processes", "dask", "ray"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("engines")


@pytest.fixture(scope="module")
def plain(folder) -> dict[str, str]:
    run(parse_job(small_job(folder, sink="plain")))
    return contents(folder / "plain")


MANY_SERIES = {
    "columns": {"time": "t", "entity": "color", "target": "y", "drop": ["name"]},
    "windows": {"size": 3, "strides": [1, 2], "max_gap": 43_200},
}


def merging(patch: pytest.MonkeyPatch) -> None:
    """States are merged on two levels; what workers need of that is in the plan."""
    patch.setattr("emberharmony.planning.merge_tree.LEAST_BYTES", 0)
    patch.setattr("emberharmony.planning.merge_tree.MOST_MERGED", 2)


@pytest.fixture(scope="module")
def plain_series(folder) -> dict[str, str]:
    with pytest.MonkeyPatch.context() as patch:
        merging(patch)
        run(parse_job(small_job(folder, sink="plain-series", **MANY_SERIES)))
    return contents(folder / "plain-series")


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_publishes_what_the_plain_loop_does(plain_series, folder, engine, monkeypatch):
    """Rows of many series, which are shuffled: each stage that there is runs on the engine."""
    if engine == "ray" and importlib.util.find_spec("prefect_ray") is None:
        pytest.skip("Ray is not installed: pip install 'emberharmony[ray]'")
    merging(monkeypatch)
    runtime = {"engine": engine, "workers": 2, "granularity": "chunk"}
    outcome = run(parse_job(small_job(folder, sink=engine, runtime=runtime, **MANY_SERIES)))
    assert outcome.engine == engine
    assert {"partition", "arrange", "merge-profiles-2", "merge-grams-2"} <= {*outcome.manifest.computed}
    assert contents(folder / engine) == plain_series


@pytest.mark.parametrize(
    "split",
    [{"method": "sequential"}, {"method": "hash", "keys": ["color"], "fractions": [0.5, 0.3, 0.2]}],
    ids=lambda split: split["method"],
)
def test_the_steps_that_prefect_shows_split_as_the_plain_loop_does(folder, split):
    """Splits by rank, which depend on all chunks of an unordered table, and splits by keys."""
    job, name = {"split": split, "windows": {"strides": []}}, split["method"]
    run(parse_job(small_job(folder, sink=f"plain-{name}", **job)))
    run(parse_job(small_job(folder, sink=f"steps-{name}", runtime={"engine": "threads", "granularity": "stage"}, **job)))
    assert contents(folder / f"steps-{name}") == contents(folder / f"plain-{name}")


@pytest.mark.parametrize("engine", ["processes", "dask"])
def test_a_killed_worker_process_loses_nothing(plain, folder, engine):
    job = small_job(folder, sink=f"killed-{engine}", runtime={"engine": engine, "workers": 2, "granularity": "chunk"})
    killed, environments = [], []

    def kill() -> None:
        wait_until(lambda: len(receipts(job)) >= 2)
        victim = worker_processes()[0]
        environments.append(victim.environ())
        victim.kill()
        killed.append(victim.pid)

    killer = threading.Thread(target=kill)
    killer.start()
    run(parse_job(job))
    killer.join()
    assert killed
    assert "MALLOC_TRIM_THRESHOLD_" not in environments[0]  # with Dask's value the work takes twice as long
    assert contents(Path(job["sink"]["path"])) == plain


@pytest.fixture(scope="module")
def prefect_logs():
    """Prefect's logging, set up before `caplog` adds its handler, which that would remove."""
    from prefect.logging.configuration import setup_logging

    setup_logging()


def test_a_killed_server_is_started_again_and_loses_nothing(plain, folder, prefect_logs, caplog):
    job = small_job(folder, sink="killed-server", runtime={"engine": "threads", "workers": 1, "granularity": "chunk"})

    def kill() -> None:
        wait_until(lambda: len(receipts(job)) >= 2)
        for child in psutil.Process().children():
            if "server_process" in " ".join(child.cmdline()):
                child.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    run(parse_job(job))
    killer.join()
    # The flow run's log has the warning as well.
    told_by = sorted(record.name for record in caplog.records if "It is started again." in record.message)
    assert told_by == ["flows.prefect.temporary_server", "prefect.flow_runs"]
    assert contents(Path(job["sink"]["path"])) == plain


def test_processes_start_before_there_is_work():
    from tasks.processes import working_in_processes

    with working_in_processes(2):
        wait_until(lambda: len(worker_processes()) == 2)


def test_a_chunk_that_kills_every_worker_stops_the_run(folder):
    from emberharmony.errors import TerminalError
    from tasks.processes import WorkerProcesses

    processes = WorkerProcesses(1)
    try:
        with pytest.raises(TerminalError, match="died 3 times in a row, at _exit"):
            processes.call(__import__("os")._exit, 9)
        assert processes.call(len, "still") == 5
    finally:
        processes.close()


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "not guarded"])
def test_a_script_without_a_guard_is_told_of_it(tmp_path, guarded):
    import subprocess
    import sys

    script = tmp_path / "script.py"
    guard = 'if __name__ == "__main__":' if guarded else "if True:"
    lines = ["processes = WorkerProcesses(1)", "print(processes.call(len, 'four'))", "processes.close()"]
    script.write_text("from tasks.processes import WorkerProcesses\n" + "\n    ".join([guard, *lines]))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=300)
    if guarded:
        assert done.stdout == "4\n", done.stderr
    else:
        assert done.returncode == 1
        said = done.stderr.splitlines()[-1]
        assert "No worker process could start" in said
        assert '`if __name__ == "__main__":`' in said
        assert "too much memory" not in said


def test_a_killed_command_leaves_neither_workers_nor_its_server(folder):
    import json
    import subprocess
    import sys

    job = small_job(folder, sink="orphans", runtime={"engine": "processes", "workers": 2, "chunk_rows": 40})
    (folder / "job.json").write_text(json.dumps(job))
    command = [sys.executable, "-c", "from flows.cli.app import main; main()", "run", str(folder / "job.json"), "--quiet"]
    with subprocess.Popen(command, start_new_session=True) as process:
        wait_until(lambda: len(receipts(job)) >= 3 or process.poll() is not None)
        children = psutil.Process(process.pid).children(recursive=True)
        commands = [" ".join(child.cmdline()) for child in children]
        process.kill()
    assert sum("spawn_main" in command for command in commands) == 2
    assert sum("server_process" in command for command in commands) == 1
    _, alive = psutil.wait_procs(children, timeout=120)
    assert not alive


def test_an_engine_that_is_not_installed_is_named(folder, monkeypatch):
    import sys

    from emberharmony.errors import BackendUnavailableError

    monkeypatch.setitem(sys.modules, "prefect_ray", None)
    job = parse_job(small_job(folder, sink="none", runtime={"engine": "ray"}))
    with pytest.raises(BackendUnavailableError, match=r"Install emberharmony\[ray\]"):
        run(job)
