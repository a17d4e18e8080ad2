"""Stages as task runs: what fails in a worker fails here with the same type and fields, on every engine."""

from __future__ import annotations

import importlib.util
import threading
from pathlib import Path

import pytest
from prefect import flow

from emberharmony.errors import DamagedError
from emberharmony.io.store.opening import result_at
from emberharmony.pipeline.events import ItemDone
from emberharmony.pipeline.plan import make_plan
from emberharmony.pipeline.run import RunRef, open_run
from emberharmony.pipeline.stages import PROJECT, stages_of_plan
from emberharmony.pipeline.staging import stage_plan
from flows.config.job import parse_job
from flows.engines.local import LocalEngine
from tasks.processes import WorkerProcesses
from tests.faults.victims import small_job

pytestmark = [
    pytest.mark.xdist_group("prefect-engines"),
    pytest.mark.usefixtures("forked_workers", "prefect_server"),
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture(scope="module")
def damaged(tmp_path_factory) -> tuple[RunRef, str]:
    """A staged run before its projection, and the name of a feature part of chunk 0 that is gone."""
    folder = tmp_path_factory.mktemp("damaged")
    job = parse_job(small_job(folder))
    plan = make_plan(job.spec, job.resources)
    ref = stage_plan(plan, result_at(folder / "result"), backend="numpy")
    stages = stages_of_plan(plan)
    for stage in stages[: stages.index(PROJECT)]:
        chunks = [0] if stage.once else [item.index for item in open_run(ref).receipts.items(stage.name)]
        list(LocalEngine().map(stage, ref, chunks))
    (part,) = Path(ref.staging).glob("features/split=train/part-00000-*.parquet")
    part.unlink()
    return ref, str(part.relative_to(ref.staging))


@pytest.mark.parametrize("engine", ["threads", "processes", "dask", "ray"])
def test_an_error_of_a_worker_arrives_with_its_type_and_fields(damaged, tmp_path, engine):
    if engine == "ray" and importlib.util.find_spec("prefect_ray") is None:
        pytest.skip("Ray is not installed: pip install 'emberharmony[ray]'")
    ref, part = damaged
    job = parse_job(small_job(tmp_path, runtime={"engine": engine, "workers": 1, "granularity": "chunk"}))

    @flow(name="failing", persist_result=False)
    def failing() -> None:
        with job.engine.open(job) as started:
            list(started.map(PROJECT, ref, [0]))

    with pytest.raises(DamagedError, match="is missing or was changed since this job wrote it") as raised:
        failing()
    assert type(raised.value) is DamagedError
    assert raised.value.file == part


@pytest.mark.parametrize(
    ("engine", "workers", "memory_for", "most", "turns"),
    [
        ("threads", 1, 40, 3, 1),
        ("threads", 1, 3, 2, 1),
        ("threads", 1, 1, 1, None),
        ("threads", 2, 5, 3, 2),
        ("processes", 2, 40, 6, 1),
        ("processes", 2, 6, 4, 1),
        ("processes", 2, 5, 2, None),
    ],
)
def test_chunks_are_in_flight_beside_those_that_are_computed(tmp_path, monkeypatch, engine, workers, memory_for, most, turns):
    """With the result in a bucket, as many task runs are alive as there are chunks in flight."""
    lock, now, seen = threading.Lock(), set[int](), list[tuple[int, int | None]]()

    def compute_stage(name, ref, chunk, steps=None):
        with lock:
            now.add(chunk)
            seen.append((len(now), ref.turns))
        threading.Event().wait(0.1)
        with lock:
            now.remove(chunk)
        return lambda: ItemDone(chunk)

    monkeypatch.setattr("tasks.stages.compute_stage", compute_stage)
    monkeypatch.setattr("tasks.stages.run_stage", lambda *arguments: compute_stage(*arguments)())
    monkeypatch.setattr(WorkerProcesses, "start", lambda _: None)
    monkeypatch.setattr(WorkerProcesses, "call", lambda _, function, *arguments: function(*arguments))
    runtime = {"engine": engine, "workers": workers, "granularity": "chunk"}
    parsed = parse_job(small_job(tmp_path, runtime=runtime) | {"sink": {"path": "s3://nowhere/out"}})
    ref = RunRef("x", workers=memory_for, ahead=parsed.resources.ahead)

    @flow(name="in flight", persist_result=False)
    def in_flight() -> list[int]:
        with parsed.engine.open(parsed) as started:
            return [done.item for done in started.map(PROJECT, ref, range(16))]

    assert sorted(in_flight()) == list(range(16))
    assert max(alive for alive, _ in seen) == most
    assert {taken for _, taken in seen} == {turns}
