"""What is published to BigQuery of carried columns, and what is refused before the work."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import DataError, PlanError
from emberharmony.io.bigquery.connection import BigQueryConnection
from emberharmony.io.sinks.bigquery.publish import BigQuerySink
from emberharmony.io.sinks.bigquery.spec import BigQuerySinkSpec
from emberharmony.io.store.local import LocalStore
from emberharmony.pipeline.execute import plan_job, run_job
from flows.config.job import FitJob, Job, parse_job
from flows.engines.local import LocalEngine
from tests.faults.victims import small_job

CARRIED = {
    "length": pa.array([1, 2], pa.duration("s")),
    "tags": pa.array([[1], [2]], pa.list_(pa.int64())),
    "wide": pa.array([1, 2], pa.decimal256(60, 0)),
    "RUN_ID": pa.array(["a", "b"]),
    "Split": pa.array(["a", "b"]),
}


def job_of(folder, *carried, model=Job):
    """A job that publishes to BigQuery, which nothing connects to before it runs."""
    rows = pa.table({"x": [1.0, 2.0], "t": pa.array([1, 2], pa.timestamp("ns")), **CARRIED})
    pq.write_table(rows, folder / "rows.parquet")
    return parse_job(
        {
            "source": {"path": str(folder / "rows.parquet")},
            "sink": {"type": "bigquery", "dataset": "out", "path": str(folder / "out")},
            "columns": {"time": "t", "passthrough": list(carried), "drop": [name for name in CARRIED if name not in carried]},
            "windows": {"strides": []},
        },
        model=model,
    )


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("length", "duration.* lengths of time"),
        ("tags", "list.* nested"),
        ("wide", "decimal256.* BIGNUMERIC"),
        ("RUN_ID", "of their own"),
        ("Split", "of their own"),
    ],
)
def test_carried_columns_that_bigquery_cannot_hold_are_refused_in_the_plan(tmp_path, column, said):
    with pytest.raises(PlanError, match=f"'{column}' .*{said}"):
        plan_job(job_of(tmp_path, column))


def test_a_column_of_the_name_slice_is_refused_where_the_tables_have_one():
    schema = pa.schema([("Slice", pa.string())])
    spec = BigQuerySinkSpec(dataset="out", path="out")
    BigQuerySink(spec).check_columns(schema, ["Slice"])
    with pytest.raises(PlanError, match=r"'Slice' .*of their own"):
        BigQuerySink(replace(spec, slice="2026-11-28")).check_columns(schema, ["Slice"])


def test_load_files_hold_the_slice():
    spec = BigQuerySinkSpec(dataset="out", path="out", staging="gs://bucket/x", slice="2026-11-28")
    part = BigQuerySink(spec).as_part(pa.table({"slice": [1.0], "x": [2.0]}), split="apply", run_id="f1")
    assert part.to_pylist() == [{"slice_2": 1.0, "x": 2.0, "split": "apply", "run_id": "f1", "slice": "2026-11-28"}]


def test_only_published_columns_count(tmp_path):
    plan_job(job_of(tmp_path))
    plan_job(job_of(tmp_path, "length", model=FitJob))


def test_values_are_checked_where_they_are_read():
    sink = BigQuerySink(BigQuerySinkSpec(dataset="out", path="out"))
    rows = pa.table({"t": pa.array([1_000, 1_001], pa.timestamp("ns")), "day": [dt.date(2026, 1, 1)] * 2})
    with pytest.raises(DataError, match=r"'t' holds 1970-01-01 00:00:00\.000001001"):
        sink.check_values(rows, ("t", "day"))
    sink.check_values(rows.slice(0, 1), ("t", "day"))
    sink.check_values(rows, ("day",))


@pytest.mark.parametrize(
    ("published_to", "disposition", "expected"),
    [
        ('{"features": "my-project.out.features"}', "append", True),
        ('{"features": "my-project.out.features"}', "replace_partitions", True),
        ('{"features": "my-project.out.features"}', "replace", False),
        ('{"features": "my-project.elsewhere.features"}', "append", False),
        (None, "append", False),
        ("cut off", "append", False),
    ],
)
def test_whose_rows_stay_in_bigquery(tmp_path, published_to, disposition, expected):
    """Only then may another job's folder be replaced here: of any other, its rows might be nowhere else."""
    if published_to is not None:
        (tmp_path / "state").mkdir()
        (tmp_path / "state" / "bigquery.json").write_text(published_to)
    spec = BigQuerySinkSpec(
        dataset="out",
        path=str(tmp_path),
        write_disposition=disposition,
        connection=BigQueryConnection(project="my-project"),
    )
    assert BigQuerySink(spec).accumulates(LocalStore(tmp_path)) is expected


def test_a_fitted_state_has_no_tables_to_look_for(tmp_path):
    job = small_job(tmp_path, sink="fitted")
    manifest = run_job(parse_job(job, model=FitJob), LocalEngine(1)).manifest
    BigQuerySink(BigQuerySinkSpec(dataset="out", path=str(tmp_path))).check_published(
        LocalStore(tmp_path / "fitted"), manifest
    )
