"""Stages as values: each kind of job is a tuple of them, and a stage that is done is not run again."""

from __future__ import annotations

import dataclasses

import pytest

from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.io.store.opening import result_at
from emberharmony.pipeline import stages
from emberharmony.pipeline.plan import Resources, make_plan
from emberharmony.pipeline.receipts import Receipt
from emberharmony.pipeline.run import open_run
from emberharmony.pipeline.spec import JOBS, PipelineSpec
from emberharmony.pipeline.stages import EXTRACT, MERGING, STAGES, compute_stage, run_stage, stages_of
from emberharmony.pipeline.staging import stage_plan
from emberharmony.planning.merge_tree import MergeLevels
from emberharmony.threads import Turns
from emberharmony.windows import WindowSpec
from flows.config.job import parse_job
from tests.jobs import small_table, write_table

WITHOUT_WINDOWS = WindowSpec(strides=())


def names(kind, windows=None):
    spec = PipelineSpec(ParquetSourceSpec("t.parquet"), kind=kind, windows=windows or WindowSpec())
    return [stage.name for stage in stages_of(spec)]


def test_every_kind_of_job_has_its_stages():
    assert names("extract") == ["profile", "fit", "featurize", "fit-pca", "project", "publish"]
    assert names("fit") == ["profile", "fit", "featurize", "fit-pca", "publish"]
    assert names("apply") == ["featurize", "project", "publish"]
    assert all(names(kind)[-1] == "publish" for kind in JOBS)


def test_without_windows_nothing_is_projected_and_a_fit_makes_no_features():
    assert names("extract", WITHOUT_WINDOWS) == ["profile", "fit", "featurize", "fit-pca", "publish"]
    assert names("fit", WITHOUT_WINDOWS) == ["profile", "fit", "fit-pca", "publish"]
    assert names("apply", WITHOUT_WINDOWS) == ["featurize", "publish"]


def test_the_weights_of_progress_add_up():
    assert sum(stage.weight for stage in EXTRACT if stage not in MERGING) == 100


def test_rows_out_of_order_are_arranged_before_all_else():
    spec = PipelineSpec(ParquetSourceSpec("t.parquet"), kind="apply")
    stages = stages_of(spec, levels=1)
    assert [stage.name for stage in stages] == ["partition", "arrange", "featurize", "project", "publish"]
    assert all(STAGES[stage.name] is stage for stage in stages)
    assert [stage.name for stage in stages_of(spec, levels=2)][:3] == ["partition", "regroup", "arrange"]


def test_many_states_are_merged_before_they_are_fitted_on():
    spec, merges = PipelineSpec(ParquetSourceSpec("t.parquet"), kind="fit"), MergeLevels(profiles=1, grams=2)
    found = [stage.name for stage in stages_of(spec, merges=merges)]
    assert found == [
        "profile",
        "merge-profiles",
        "fit",
        "featurize",
        "merge-grams",
        "merge-grams-2",
        "fit-pca",
        "publish",
    ]
    assert {*merges.stages} <= {stage.name for stage in MERGING}
    assert not any(stage.once for stage in MERGING), "workers merge"


@pytest.fixture
def ref(tmp_path):
    source = write_table(small_table(120), tmp_path / "t.parquet", group_rows=40)
    job = {"source": {"path": str(source)}, "sink": {"path": str(tmp_path / "out")}, "columns": {"time": "t"}}
    return stage_plan(make_plan(parse_job(job).spec, Resources(chunk_rows=40)), result_at(tmp_path / "out"), backend="numpy")


def test_a_stage_is_run_once_for_a_chunk(ref, monkeypatch):
    done = []

    def work(run, chunk, backend, steps):
        done.append((chunk.index, backend))
        return Receipt("profile", chunk.index, {}, (), backend, 0.0)

    monkeypatch.setitem(stages.STAGES, "profile", dataclasses.replace(STAGES["profile"], work=work))
    for _ in range(2):
        run_stage("profile", ref, 1)
    assert done == [(1, "numpy:cpu")]
    receipt = open_run(ref).receipts.find("profile", 1)
    assert receipt.host
    assert receipt.parity is None


def test_what_is_computed_is_done_when_it_is_committed(ref):
    run = open_run(ref)
    stage = stages_of(run.plan.spec, levels=run.plan.levels)[0].name
    commit = compute_stage(stage, ref, 0)
    assert run.receipts.find(stage, 0) is None
    done = commit()
    assert done.n_rows == run.receipts.items(stage)[0].n_rows > 0
    assert done.n_bytes == sum(file.n_bytes for file in run.receipts.find(stage, 0).files) > 0
    assert compute_stage(stage, ref, 0)() == dataclasses.replace(done, n_bytes=0), "nothing is written again"


def test_the_steps_that_compute_take_turns(ref, monkeypatch):
    """In a process that works on more chunks than it computes. What reads or writes takes none."""
    taking = list[str]()

    class Noted(Turns):
        def taking(self, compute):
            taken = super().taking(compute)

            def noted(*args, **kwargs):
                taking.append(compute.__name__)
                return taken(*args, **kwargs)

            return noted

    def turns_of(token, n_turns):
        assert n_turns == 1
        return turns

    turns = Noted(1)
    monkeypatch.setattr(stages, "turns_of", turns_of)
    monkeypatch.setattr("emberharmony.pipeline.chunk_stages.state_pays", lambda *_: True)
    run, at_work = open_run(ref), dataclasses.replace(ref, turns=1)
    for stage in stages_of(run.plan.spec, levels=run.plan.levels)[:-1]:
        for chunk in [0] if stage.once else [item.index for item in run.receipts.items(stage.name)]:
            run_stage(stage.name, at_work, chunk)
    assert {*taking} == {"datetime_features", "encode", "split_codes", "profile_rows", "window_states", "project"}
