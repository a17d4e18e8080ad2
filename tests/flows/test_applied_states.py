"""Which states are applied or refused, and what becomes of a result that was there before."""

from __future__ import annotations

import json
import re
import shutil

import pyarrow.parquet as pq
import pytest

from emberharmony.errors import DataError
from emberharmony.pipeline.execute import run_job
from emberharmony.report.plan_report import plan_report
from flows.config.job import ApplyJob, FitJob, parse_job
from flows.engines.local import LocalEngine
from tests.flows.applied import RUNTIME, fields, names
from tests.jobs import run_small, write_table
from tests.kinds import as_version_2
from tests.laws.test_apply import JOB, apply_to


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: shutil.rmtree(folder / "state"), "was published by a version"),
        (lambda folder: (folder / "manifest.json").unlink(), "has a state and no manifest.json"),
        (lambda folder: (folder / "state/pca.safetensors").unlink(), r"pca.safetensors is missing"),
        (lambda folder: (folder / "state/preprocessing.json").write_text("{}"), "is not what its run published"),
    ],
)
def test_a_damaged_state_is_refused(state, table, tmp_path, damage, message):
    copy = shutil.copytree(state, tmp_path / "copy")
    damage(copy)
    with pytest.raises(DataError, match=message):
        apply_to(write_table(table, tmp_path / "t.parquet"), copy, tmp_path / "applied")


def test_a_state_of_another_version_is_refused(state, table, tmp_path):
    copy = shutil.copytree(state / "state", tmp_path / "copy")
    job = json.loads((copy / "job.json").read_text())
    (copy / "job.json").write_text(json.dumps(job | {"version": 99}))
    with pytest.raises(DataError, match="is of version 99, this library applies version 3"):
        apply_to(write_table(table, tmp_path / "t.parquet"), copy, tmp_path / "applied")
    (copy / "job.json").write_text(json.dumps({"version": 2}))
    with pytest.raises(DataError, match="cannot be read as a state"):
        apply_to(tmp_path / "t.parquet", copy, tmp_path / "applied")
    with pytest.raises(DataError, match="is not the folder of a published result"):
        apply_to(tmp_path / "t.parquet", tmp_path, tmp_path / "applied")


def test_a_state_says_nothing_of_where_its_rows_came_from(state, table, tmp_path):
    folder = state / "state"
    said = b"".join(path.read_bytes() for path in folder.iterdir()).decode("latin-1")
    assert json.loads((state / "manifest.json").read_text())["spec"]["columns"]["time"] == "t"
    for place in (str(state.parent), "parquet"):
        assert place not in said


@pytest.mark.parametrize("version", [1, 2])
def test_a_state_of_an_earlier_version_is_applied(state, table, tmp_path, version):
    """Version 2 holds the same fields for every kind of column; version 1 also the source."""
    old = shutil.copytree(state / "state", tmp_path / "old")
    job = json.loads((old / "job.json").read_text())
    source = {"type": "parquet", "path": "/gone/table.parquet"}
    spec = job["spec"] | ({"source": source} if version == 1 else {})
    spec["columns"].pop("kinds")
    (old / "job.json").write_text(json.dumps(job | {"version": version, "spec": spec}))
    fitted = old / "preprocessing.json"
    fitted.write_text(json.dumps(as_version_2(json.loads(fitted.read_text()))))
    path = write_table(table, tmp_path / "t.parquet")
    by_old, by_new = (apply_to(path, which, tmp_path / name) for which, name in [(old, "by old"), (state, "by new")])
    assert by_old.manifest.rows == by_new.manifest.rows
    for part in sorted((tmp_path / "by new/features").rglob("*.parquet")):
        assert pq.read_table(tmp_path / "by old/features" / part.relative_to(tmp_path / "by new/features")).equals(
            pq.read_table(part)
        )


@pytest.mark.parametrize("old", ["1.50", "-0", "1E-7", "1.5e+10"])
def test_a_state_with_other_texts_of_numbers_is_refused(state, table, tmp_path, old):
    copy = shutil.copytree(state / "state", tmp_path / "copy")
    fitted = json.loads((copy / "preprocessing.json").read_text())
    (column,) = (column for column in fitted["columns"] if column["name"] == "count")
    column |= {"kind": "categorical", "vocabulary": ["1", old, "1.5", "1e+20"]}
    (copy / "preprocessing.json").write_text(json.dumps(fitted))
    with pytest.raises(DataError, match=f"{re.escape(repr(old))} of column 'count'.* Fit a new state"):
        apply_to(write_table(table, tmp_path / "t.parquet"), copy, tmp_path / "applied")


class Stopping(LocalEngine):
    """A loop that is killed after so many chunks of a stage."""

    def __init__(self, stage: str, after: int) -> None:
        super().__init__(1)
        self._stage, self._after = stage, after

    def map(self, stage, ref, chunks):
        for number, chunk in enumerate(super().map(stage, ref, chunks)):
            if stage.name == self._stage and number == self._after:
                raise KeyboardInterrupt
            yield chunk


@pytest.mark.parametrize(("stage", "after"), [("featurize", 1), ("project", 0), ("project", 2)])
def test_an_interrupted_apply_goes_on(state, table, tmp_path, stage, after):
    source = write_table(table, tmp_path / "t.parquet", group_rows=100)
    job = parse_job(fields(state, source, tmp_path / "applied", chunk_rows=100), model=ApplyJob)
    with pytest.raises(KeyboardInterrupt):
        run_job(job, Stopping(stage, after))
    assert not (tmp_path / "applied/manifest.json").exists()
    assert "resumes an interrupted run" in dict(plan_report(job).lines)["sink"]
    done = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "applied/.staging").rglob("receipts/featurize/*")}
    assert len(done) >= after
    outcome = run_job(job, LocalEngine())
    assert outcome.did_work
    apply_to(source, state, tmp_path / "once", chunk_rows=100)
    for name in names(tmp_path / "once"):
        if name.endswith(".parquet"):
            assert (tmp_path / "applied" / name).read_bytes() == (tmp_path / "once" / name).read_bytes()
    assert not run_job(job, LocalEngine()).did_work


def test_another_state_is_another_result(state, table, tmp_path):
    source = write_table(table, tmp_path / "t.parquet")
    apply_to(source, state, tmp_path / "applied")
    other = JOB | {"windows": {"size": 3, "strides": [2]}}
    run_small(source, tmp_path / "other", **other)
    with pytest.raises(DataError, match="--overwrite"):
        apply_to(source, tmp_path / "other", tmp_path / "applied")
    job = parse_job(fields(tmp_path / "other", source, tmp_path / "applied"), model=ApplyJob)
    assert run_job(job, LocalEngine(), overwrite=True).did_work
    assert not (tmp_path / "applied/windows/stride=1").exists()
    assert (tmp_path / "applied/windows/stride=2/split=apply").exists()


def test_a_fit_in_the_place_of_a_run_leaves_nothing_of_it(table, tmp_path):
    source = write_table(table, tmp_path / "t.parquet")
    run_small(source, tmp_path / "sink", **JOB)
    data = JOB | {"source": {"path": str(source)}, "sink": {"path": str(tmp_path / "sink")}, "runtime": RUNTIME}
    job = parse_job(data, model=FitJob)
    with pytest.raises(DataError, match="--overwrite"):
        run_job(job, LocalEngine())
    run_job(job, LocalEngine(), overwrite=True)
    assert {name.split("/")[0] for name in names(tmp_path / "sink")} <= {"manifest.json", "state", ".staging", ".versions"}
    assert not run_job(job, LocalEngine()).did_work


# ---- the plan ----------------------------------------------------------------------------------------------------------
