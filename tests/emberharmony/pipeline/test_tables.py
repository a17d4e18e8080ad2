"""What is published to BigQuery of carried columns, and what is refused before the work."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import DataError, PlanError
from emberharmony.io.bigquery.connection import BigQueryConnection
from emberharmony.io.sinks.bigquery.sink import BigQuerySinkSpec
from emberharmony.pipeline.execute import plan_job
from emberharmony.pipeline.tables import check_values, rows_accumulate
from flows.config.job import FitJob, Job, parse_job

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


def test_only_published_columns_count(tmp_path):
    plan_job(job_of(tmp_path))
    plan_job(job_of(tmp_path, "length", model=FitJob))


def test_values_are_checked_where_they_are_read():
    """A stand-in for a run: whether it publishes to BigQuery, and what it carries, is all that is asked of it."""
    rows = pa.table({"t": pa.array([1_000, 1_001], pa.timestamp("ns")), "day": [dt.date(2026, 1, 1)] * 2})

    def run(*, kind="extract", to_bigquery=True):
        store = SimpleNamespace(exists=lambda name: to_bigquery)
        return SimpleNamespace(spec=SimpleNamespace(kind=kind), store=store, roles=SimpleNamespace(carried=("t", "day")))

    with pytest.raises(DataError, match=r"'t' holds 1970-01-01 00:00:00\.000001001"):
        check_values(run(), rows)
    check_values(run(), rows.slice(0, 1))
    check_values(run(kind="fit"), rows)
    check_values(run(to_bigquery=False), rows)


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
    assert rows_accumulate(tmp_path, spec) is expected
