"""A trial run: the job on a few rows, and what follows for all of them."""

import pytest

from emberharmony.pipeline.execute import run_job
from emberharmony.report.plan_report import plan_report
from emberharmony.report.plan_sample import SampleSize
from flows.config.job import ApplyJob, parse_job
from flows.engines.local import LocalEngine
from tests.jobs import small_table, write_table

ALL = SampleSize(share=1.0)


@pytest.fixture
def job(tmp_path):
    table = small_table(600).append_column("id", [[f"id {i % 300}" for i in range(600)]])
    source = {"path": str(write_table(table, tmp_path / "t.parquet"))}
    columns = {"time": "t", "target": "y", "drop": ["name"], "passthrough": ["id"]}
    return {"source": source, "sink": {"path": str(tmp_path / "out")}, "columns": columns}


def test_of_all_rows_it_is_the_job(job, tmp_path):
    trial = plan_report(parse_job(job), ALL).figures.sample.trial
    assert not (tmp_path / "out").exists(), "a plan writes nothing"
    manifest = run_job(parse_job(job), LocalEngine()).manifest
    assert trial.without == ""
    assert trial.features == len(manifest.features)
    stored = sum(file.n_bytes for file in manifest.files if file.name.startswith(("features/", "windows/")))
    assert trial.result_bytes == pytest.approx(stored, rel=0.05)
    assert [*trial.seconds_by_stage] == ["read", "profile", "fit", "featurize", "fit PCA", "project", "publish"]
    assert trial.seconds == pytest.approx(sum(trial.seconds_by_stage.values()), abs=0.01)


def test_series_that_are_too_short_in_the_sample(job):
    """Of two rows each, no entity has a window; as one series they do."""
    job["columns"] |= {"entity": "id", "passthrough": []}
    job["windows"] = {"size": 5, "strides": [1]}
    sample = plan_report(parse_job(job), SampleSize(rows=200)).figures.sample
    assert sample.trial.without == "entities"
    assert "project" in sample.trial.seconds_by_stage
    assert sample.trial.seconds_by_stage["arrange"] > 0.0, "one series needs none, and the table's do"


def test_too_few_rows(job):
    sample = plan_report(parse_job(job), SampleSize(rows=8)).figures.sample
    assert sample.trial is None or sample.trial.without == "windows"
    sample = plan_report(parse_job(job), SampleSize(rows=1)).figures.sample
    assert sample.trial is None
    assert sample.problem


def test_a_state_is_applied_to_the_sample(job, tmp_path):
    run_job(parse_job(job), LocalEngine())
    applied = {"source": job["source"], "state": str(tmp_path / "out"), "sink": {"path": str(tmp_path / "applied")}}
    trial = plan_report(parse_job(applied, model=ApplyJob), SampleSize(rows=300)).figures.sample.trial
    assert (trial.rows, trial.without) == (300, "")
    assert [*trial.seconds_by_stage] == ["read", "featurize", "project", "publish"]


def test_time_and_bytes_grow_with_the_rows(job):
    """The same trial, of a table twice as long: stages of rows take twice as long, as measured on half of them."""
    sample = plan_report(parse_job(job), SampleSize(rows=300)).figures.sample
    whole = plan_report(parse_job(job), ALL).figures.sample
    assert sample.trial.result_bytes == pytest.approx(whole.trial.result_bytes, rel=0.5)
