"""The job as a sentence: stages in order, progress told, what is done not done again."""

import gc
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from emberharmony.errors import BackendUnavailableError, PlanError, TerminalError
from emberharmony.io.sources.parquet.footers import FooteredFile
from emberharmony.pipeline.callback import Callback
from emberharmony.pipeline.execute import peak_bytes, plan_job, run_job
from emberharmony.pipeline.stages import compute_stage
from flows.config.job import parse_job
from flows.engines.local import LocalEngine
from tests.jobs import small_table, write_table

ROOT = Path(__file__).parents[3]
STAGES = ["profile", "fit", "featurize", "fit PCA", "project"]


class Watch(Callback):
    """Remembers what it was told."""

    def __init__(self):
        self.planned_as = None
        self.stages = []
        self.items = []
        self.ended = []

    def planned(self, event):
        self.planned_as = (event.plan.n_rows, event.backend)

    def stage_started(self, event):
        self.stages.append([event.stage.title, event.done_rows, event.n_rows])
        self.items.append([event.done_items, event.n_items, 0])

    def item_done(self, event):
        self.stages[-1][1] += event.n_rows
        self.items[-1][0] += 1
        self.items[-1][2] += event.n_bytes

    def stage_ended(self, event):
        self.ended.append(event.stage.title)


@pytest.fixture
def job(tmp_path):
    write_table(small_table(300), tmp_path / "table.parquet", group_rows=50)
    return {
        "source": {"path": str(tmp_path / "table.parquet")},
        "sink": {"path": str(tmp_path / "out")},
        "columns": {"time": "t", "target": "y", "drop": ["name"]},
        "runtime": {"engine": "local", "backend": "numpy", "workers": 1, "chunk_rows": 60},
    }


def test_what_planning_knows_of_each_file_does_not_stay_beside_what_the_run_knows(tmp_path, job):
    """There may be many thousand files."""
    table, found = small_table(300), set()
    (tmp_path / "table").mkdir()
    for i in range(5):
        write_table(table.slice(60 * i, 60), tmp_path / "table" / f"{i}.parquet")

    class Files(Callback):
        def stage_ended(self, event):
            gc.collect()
            files = [it for it in gc.get_objects() if type(it) is FooteredFile and it.address.startswith(str(tmp_path))]
            found.add(len(files))

    gc.collect()
    gc.freeze()  # what is there by now is not looked through at the end of every stage
    run_job(parse_job(job | {"source": {"path": str(tmp_path / "table")}}), LocalEngine(1), Files())
    assert found == {5}


@pytest.mark.parametrize("workers", [1, 2])
def test_stages_come_in_order_and_end_whole(job, workers):
    watch = Watch()
    outcome = run_job(parse_job(job), LocalEngine(workers), watch)
    assert watch.planned_as == (300, "numpy:cpu")
    assert [name for name, *_ in watch.stages if name in STAGES] == STAGES
    assert all(done == total for _, done, total in watch.stages)
    assert {total for name, _, total in watch.stages if name in ("profile", "featurize", "project")} == {300}
    assert all(done == total for done, total, _ in watch.items)
    assert watch.ended == [name for name, *_ in watch.stages]
    written = dict(zip(watch.ended, (n_bytes for *_, n_bytes in watch.items), strict=True))
    windows = [path.stat().st_size for path in Path(outcome.sink).glob("windows/**/*.parquet")]
    assert written["project"] == sum(windows) > 0
    assert outcome.did_work
    assert outcome.backend == "numpy:cpu"
    assert outcome.seconds > 0
    assert outcome.rows_per_second == pytest.approx(300 / outcome.seconds)


def test_no_more_chunks_at_a_time_than_have_memory(job, monkeypatch):
    """On a machine of many cores, where nobody asked for so many workers."""
    running, most = set(), []

    def counted(stage, ref, chunk):
        running.add(chunk)
        most.append(len(running))
        time.sleep(0.01)
        done = compute_stage(stage, ref, chunk)
        running.discard(chunk)
        return done

    monkeypatch.setattr("flows.engines.local.compute_stage", counted)
    monkeypatch.setattr("flows.config.job.available_cores", lambda: 64)
    del job["runtime"]["workers"]
    planned = plan_job(parse_job(job)).plan.memory
    job["runtime"]["max_memory_gb"] = (planned.reserved_bytes + 2.5 * planned.chunk_bytes) / 2**30
    whole = parse_job(job)
    outcome = run_job(whole, LocalEngine(whole.workers))
    assert max(most) == 2
    assert outcome.projected_bytes < planned.projected_bytes


def test_a_result_that_is_there_is_not_made_again(job):
    run_job(parse_job(job), LocalEngine(1))

    class Idle(LocalEngine):
        def map(self, stage, ref, chunks):
            raise AssertionError("nothing is to be done")

    for same in (job, job | {"runtime": job["runtime"] | {"chunk_rows": 7, "workers": 2}}):
        assert not run_job(parse_job(same), Idle(1)).did_work


def test_what_is_committed_is_not_done_again(job, tmp_path):
    class Breaks(LocalEngine):
        def map(self, stage, ref, chunks):
            for done in super().map(stage, ref, chunks):
                yield done
                if stage.name == "featurize" and done.item == 1:
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(parse_job(job), Breaks(1))
    committed = {int(path.stem) for path in (tmp_path / "out").glob(".staging/*/receipts/featurize/*.json")}
    assert {0, 1} <= committed, "and perhaps those that were computed meanwhile"
    watch, done = Watch(), []

    class Counts(LocalEngine):
        def map(self, stage, ref, chunks):
            done.append((stage.name, list(chunks)))
            return super().map(stage, ref, chunks)

    assert run_job(parse_job(job), Counts(1), watch).did_work
    chunks = dict(done)
    assert chunks.get("profile", []) == []
    assert chunks["featurize"]
    assert not committed & {*chunks["featurize"]}
    assert chunks["project"][0] == 0
    assert all(done == total for _, done, total in watch.stages)


def test_nothing_is_written_before_the_plan_is_right(job, tmp_path):
    for wrong in ({"columns": {"time": "nope"}}, {"columns": {}, "split": {"method": "temporal"}}):
        with pytest.raises(PlanError):
            run_job(parse_job(job | wrong), LocalEngine(1))
    with pytest.raises((BackendUnavailableError, ValueError), match="torhc"):
        run_job(parse_job(job | {"runtime": job["runtime"] | {"backend": "torhc"}}), LocalEngine(1))
    assert not (tmp_path / "out").exists()


def test_the_peak_is_this_process_own():
    """What the parent held when it started the process does not count."""
    code = "from emberharmony.pipeline.execute import peak_bytes; print(peak_bytes())"
    held = np.ones(60_000_000)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert 10 * 2**20 < int(done.stdout) < held.nbytes < peak_bytes()


@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_an_address_at_which_no_one_listens(job, engine):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"  # taken, but not listened at
        elsewhere = parse_job(job | {"runtime": {"engine": engine, "address": address}})
        words = rf"runtime.address is '{address}', and nothing answers.*engine: {engine}"
        with pytest.raises(TerminalError, match=words), elsewhere.engine.open(elsewhere):
            pass
