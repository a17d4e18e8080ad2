"""Samples of threads: whose work is whose, and how the table adds up."""

from __future__ import annotations

import sys
import threading
import types
from pathlib import Path

import pytest

from benchmarks import sampling
from benchmarks.jobs import job_of, run_job_here
from benchmarks.sampling import KINDS, Sampler, StageShares, kind_of_code, kind_of_stack, table_of
from benchmarks.table import write_table
from emberharmony.pipeline.events import StageStarted
from emberharmony.pipeline.stages import PROJECT

ROOT = Path(sampling.__file__).parents[1]


@pytest.mark.parametrize(
    ("path", "function", "kind"),
    [
        ("emberharmony/io/sources/parquet/decoding.py", "decode", "decode"),
        ("emberharmony/io/parts.py", "read_part", "decode"),
        ("emberharmony/io/parts.py", "write_part", "encode"),
        ("emberharmony/io/store/local.py", "put", "write"),
        ("emberharmony/stats/lags.py", "products", "arithmetic"),
        ("emberharmony/pca.py", "project", "arithmetic"),
        ("emberharmony/pipeline/run.py", "open_run", "the rest"),
    ],
)
def test_the_work_of_modules(path, function, kind):
    assert kind_of_code(path, function) == kind


def test_every_module_that_is_named_exists():
    for name in sampling._WORK:
        path, _, function = name.partition(":")
        found = [it for it in (ROOT / path, ROOT / f"{path}.py") if it.exists()]
        assert found, f"{name} is gone: name what does its work now"
        assert not function or f"def {function}(" in found[0].read_text()


def frame_in(*paths):
    """A stack of frames, the innermost last."""
    frame = None
    for path in paths:
        code = types.SimpleNamespace(co_filename=path, co_name="f")
        frame = types.SimpleNamespace(f_code=code, f_back=frame)
    return frame


def test_the_innermost_frame_of_the_project_decides():
    steps, store = f"{ROOT}/emberharmony/steps/project.py", f"{ROOT}/emberharmony/io/store/local.py"
    assert kind_of_stack(frame_in(store, steps, "/usr/lib/numpy.py")) == "arithmetic"
    assert kind_of_stack(frame_in(steps, store)) == "write"
    assert kind_of_stack(frame_in("/usr/lib/threading.py")) == "the rest"
    assert kind_of_stack(None) == "the rest"


@pytest.fixture
def sampler():
    pytest.importorskip("resource")
    if not Path("/proc/self/schedstat").exists():
        pytest.skip("Linux only")
    return Sampler()


def test_a_threads_time_since_the_last_sample_goes_to_its_work_and_stage(sampler, monkeypatch):
    frames = {1: frame_in(f"{ROOT}/emberharmony/pca.py"), 2: frame_in(f"{ROOT}/emberharmony/io/store/local.py")}
    counts = {11: 3 * 10**9, 12: 10**9}
    monkeypatch.setattr(sys, "_current_frames", lambda: frames)
    monkeypatch.setattr(sampling, "_count_of", counts.get)
    clock = iter([10.0, 12.0])
    monkeypatch.setattr(sampling.time, "process_time", lambda: next(clock))
    sampler._since = 5.0
    sampler.sample({1: 11, 2: 12, 3: 13})
    sampler.stage_started(StageStarted(PROJECT, n_items=1, n_rows=1))
    counts[11] = 4 * 10**9
    del frames[2]
    sampler.sample({1: 11})
    sampler._close()
    plan, project = sampler.stages["plan"], sampler.stages["project"]
    assert (plan.by_kind["arithmetic"], plan.by_kind["write"], plan.by_kind["libraries"]) == (3.0, 1.0, 1.0)
    assert plan.cpu_seconds == 5.0
    assert (project.by_kind["arithmetic"], project.by_kind["libraries"], project.cpu_seconds) == (1.0, 1.0, 2.0)


def test_threads_that_work_are_sampled(sampler, monkeypatch):
    monkeypatch.setattr(sampling, "_ROOT", str(Path(__file__).parent) + "/")
    monkeypatch.setattr(sampling, "_WORK", {"test_sampling.py:busy": "arithmetic"})
    done = threading.Event()

    def busy():
        while not done.is_set():
            sum(range(10_000))

    thread = threading.Thread(target=busy)
    with sampler.sampling():
        thread.start()
        while sampler._found["plan"]["arithmetic"] < 0.02:  # its own clock, however busy the machine is
            done.wait(0.005)
        done.set()
        thread.join()
    assert 0.02 <= sampler.stages["plan"].by_kind["arithmetic"] <= sampler.stages["plan"].cpu_seconds


def test_the_stages_of_a_job_are_told_apart(sampler, tmp_path):
    table = write_table(tmp_path / "t.parquet", n_rows=500)
    with sampler.sampling():
        run_job_here(job_of(table, tmp_path / "result"), sampler)
    assert list(sampler.stages) == ["plan", "profile", "fit", "featurize", "fit PCA", "project", "publish"]
    assert all(shares.cpu_seconds > 0 for shares in sampler.stages.values())


def test_the_table_adds_up_and_stands_beside_the_floor():
    kinds = dict.fromkeys(KINDS, 0.0)
    stages = {
        "profile": StageShares(2.0, kinds | {"decode": 2.0}),
        "project": StageShares(4.0, kinds | {"decode": 1.0, "arithmetic": 3.0}),
    }
    lines = {line.split("  ")[0]: line for line in table_of(stages, {"decode": 1.0, "arithmetic": 1.5}).splitlines()}
    assert lines["together"].split()[1:3] == ["3.00", "3.00"]
    assert lines["together"].endswith("6.00         240%")
    assert lines["ours / floor"].split("floor")[1].split() == ["3.0", "x", "2.0", "x", "2.4", "x"]
