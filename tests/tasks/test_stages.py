"""Stages as Prefect tasks: their names, their retries, and the stage that each runs."""

from __future__ import annotations

import threading

import cloudpickle
import pytest

from emberharmony.pipeline.chunk_stages import PLAIN
from emberharmony.pipeline.run import RunRef
from emberharmony.pipeline.stages import STAGES
from tasks import stages
from tasks.options import steps_of
from tasks.stages import TASKS, WATCHED


def test_every_stage_is_a_task():
    assert {name: task.name for name, task in TASKS.items()} == {
        "partition": "partition-chunks",
        "regroup": "regroup-chunks",
        "arrange": "arrange-chunks",
        "profile": "profile-chunks",
        "merge-profiles": "merge-profiles-chunks",
        "merge-profiles-2": "merge-profiles-2-chunks",
        "fit": "fit",
        "featurize": "featurize-chunks",
        "merge-grams": "merge-grams-chunks",
        "merge-grams-2": "merge-grams-2-chunks",
        "fit-pca": "fit-pca",
        "project": "project-chunks",
        "publish": "publish",
    }
    assert all(task.retries == 3 and not task.persist_result for task in TASKS.values())
    assert TASKS["project"].description == "Run the stage project for chunks `first` to `last`."


@pytest.mark.parametrize(
    ("stage", "last", "name"), [("profile", 7, "profile-7"), ("profile", 9, "profile-7-to-9"), ("publish", 7, "publish")]
)
def test_task_runs_are_named_after_their_chunks(stage, last, name):
    assert TASKS[stage].task_run_name({"first": 7, "last": last}) == name


@pytest.mark.parametrize("work", TASKS.values(), ids=TASKS)
def test_every_task_travels_to_the_workers_of_clusters(work):
    """Dask and Ray send tasks as cloudpickle writes them, with the names of the task runs of their steps."""
    parameters = {"first": 3, "last": 3}
    assert cloudpickle.loads(cloudpickle.dumps(work)).task_run_name(parameters) == work.task_run_name(parameters)
    steps = cloudpickle.loads(cloudpickle.dumps(WATCHED))
    with steps_of(3):
        assert steps.encode.task_run_name({}) == WATCHED.encode.task_run_name({}) == "encode-3"


@pytest.mark.parametrize(("granularity", "steps"), [("stage", WATCHED), ("chunk", PLAIN)])
def test_a_task_runs_its_stage_for_every_chunk(monkeypatch, granularity, steps):
    done = []
    monkeypatch.setattr(stages, "compute_stage", lambda *arguments: done.append(arguments) or (lambda: arguments[2]))
    ref = RunRef("nowhere")
    assert TASKS["featurize"].fn(ref, 2, 4, granularity) == [2, 3, 4], "what each chunk has returned"
    assert done == [("featurize", ref, chunk, steps) for chunk in (2, 3, 4)]


def test_a_task_run_commits_behind_its_work(monkeypatch):
    """Chunk 2 is on its way to the disk while chunk 3 is computed; a task run ends when all of its chunks are committed."""
    next_begun, done = threading.Event(), []

    def compute_stage(stage, ref, chunk, steps):
        if chunk == 3:
            next_begun.set()
        return lambda: next_begun.wait(120) and done.append(chunk)

    monkeypatch.setattr(stages, "compute_stage", compute_stage)
    TASKS["featurize"].fn(RunRef("nowhere"), 2, 3, "chunk")
    assert done == [2, 3]


def test_worker_processes_run_the_stages_of_chunks_alone(monkeypatch):
    called, here = [], []

    class Processes:
        def call(self, function, *arguments):
            called.append(arguments)

    monkeypatch.setattr(stages, "worker_processes", Processes)
    monkeypatch.setattr(stages, "compute_stage", lambda *arguments: here.append(arguments[0]) or (lambda: None))
    ref = RunRef("nowhere")
    for name, stage in STAGES.items():
        TASKS[name].fn(ref, 0, 0, "chunk")
        assert (name in here) == stage.once
    assert [arguments[0] for arguments in called] == [name for name, stage in STAGES.items() if not stage.once]
