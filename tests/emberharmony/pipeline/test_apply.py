"""A state that is applied: the job it becomes, what its plan asks of the table, and drift from the training rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import DataError
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.io.store.opening import result_at
from emberharmony.pipeline.apply import applying, plan_apply, stage_fitted
from emberharmony.pipeline.execute import run_job
from emberharmony.pipeline.plan import Resources
from emberharmony.pipeline.publish import publish
from emberharmony.pipeline.run import Run
from emberharmony.pipeline.staging import stage_plan
from emberharmony.pipeline.state import read_state
from flows.config.job import ApplyJob, parse_job
from flows.engines.local import LocalEngine


@pytest.fixture
def state(own_run, tmp_path):
    """The state of a published run."""
    publish(own_run, ("profile", "featurize", "project"))
    return read_state(tmp_path / "result")


def test_the_job_is_the_fitted_one_of_other_rows(state):
    source = ParquetSourceSpec("tomorrow.parquet")
    spec = applying(state, source, lookback=timedelta(hours=5), null_time="exclude")
    assert (spec.kind, spec.source, spec.state) == ("apply", source, state.digest)
    assert spec.features == state.spec.features
    assert spec.windows == replace(state.spec.windows, lookback=timedelta(hours=5))
    assert spec.columns == replace(state.spec.columns, null_time="exclude")
    assert applying(state, source).columns == state.spec.columns


def test_a_table_without_a_column_that_was_fitted_is_refused(state, tmp_path):
    table = pq.read_table(tmp_path / "table.parquet").drop_columns(["walk", "color"])
    pq.write_table(table, tmp_path / "less.parquet")
    spec = applying(state, ParquetSourceSpec(str(tmp_path / "less.parquet")))
    with pytest.raises(DataError, match=r"color.*walk|walk.*color"):
        plan_apply(state, spec, Resources())


def test_drift_is_that_of_all_rows_whatever_their_chunks(state, tmp_path):
    """Against shares counted by NumPy over the whole table at once."""
    table = pq.read_table(tmp_path / "table.parquet")
    job = {
        "state": str(tmp_path / "result"),
        "source": {"path": str(tmp_path / "table.parquet")},
        "sink": {"path": str(tmp_path / "applied")},
        "runtime": {"engine": "local", "backend": "numpy", "workers": 1, "chunk_rows": 70},
    }
    drift = run_job(parse_job(job, model=ApplyJob), LocalEngine()).manifest.drift
    fitted = table.slice(0, 240)
    for name in ("walk", "flag", "color"):
        assert drift[name]["null_share"] == pytest.approx(table[name].null_count / len(table)), name
    (walk,) = (column for column in state.preprocessing.columns if column.name == "walk")
    mean = np.nanmean(table["walk"].to_numpy())
    known = fitted["walk"].drop_null().to_numpy()
    assert drift["walk"]["mean_shift"] == pytest.approx((mean - known.mean()) / walk.scaling.scale, abs=0.05)


def test_a_state_that_changed_after_the_plan_is_refused(state, tmp_path):
    spec = applying(state, ParquetSourceSpec(str(tmp_path / "table.parquet")))
    plan = plan_apply(state, spec, Resources())
    ref = stage_plan(plan, result_at(tmp_path / "applied"), backend="numpy")
    other = replace(state, files={**state.files, "baseline.json": b"{}"})
    with pytest.raises(DataError, match="state was changed after the job was planned"):
        stage_fitted(other, Run.opened(ref.staging))
