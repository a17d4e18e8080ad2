"""A state that was fitted on files, applied to a table, published as tables: the same features as from the table's file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import DataError, ExpectationError
from emberharmony.io.bigquery import TableName
from emberharmony.io.bigquery.read import read_rows
from emberharmony.io.sources.bigquery.order import sort_rows
from emberharmony.pipeline.execute import run_job
from emberharmony.report.plan_report import plan_report
from flows.config.job import ApplyJob, FitJob, parse_job
from flows.engines.local import LocalEngine

pytestmark = pytest.mark.xdist_group("bigquery-job")

RUNTIME = {"engine": "local", "backend": "numpy", "max_memory_gb": 4, "workers": 1}


@pytest.fixture(scope="module")
def fitted(flights, tmp_path_factory) -> Path:
    """Fitted on January's flights."""
    folder = tmp_path_factory.mktemp("fitted")
    pq.write_table(pq.read_table(flights.path, filters=[("month", "=", 1)]), folder / "january.parquet")
    job = {
        "source": {"path": str(folder / "january.parquet")},
        "sink": {"path": str(folder / "state")},
        "columns": {"time": "time_hour", "target": "arr_delay", "drop": ["tailnum", "dep_time", "dep_delay", "arr_time"]},
        "windows": {"size": 3, "strides": [2]},
        "runtime": RUNTIME,
    }
    run_job(parse_job(job, model=FitJob), LocalEngine())
    return folder / "state"


def test_apply_from_table_to_tables(fitted, connection, flights, tmp_path):
    with connection.open() as clients:
        clients.jobs.create_dataset("applied", exists_ok=True)
    at = dataclasses.asdict(connection)
    job = {
        "state": str(fitted),
        "source": {"type": "bigquery", "table": str(flights.table), "where": "month = 2", "connection": at},
        "sink": {"type": "bigquery", "path": str(tmp_path / "out"), "dataset": "applied", "connection": at},
        "runtime": RUNTIME,
    }
    with pytest.raises(ExpectationError, match=r"rows\.min: 2,422, at least 1e\+09 is expected"):
        run_job(parse_job({**job, "expect": {"rows": {"min": 10**9}}}, model=ApplyJob), LocalEngine())
    with connection.open() as clients:
        assert list(clients.jobs.list_tables("applied")) == []
    outcome = run_job(parse_job(job, model=ApplyJob), LocalEngine())
    rows = sort_rows(pq.read_table(flights.path, filters=[("month", "=", 2)]), by="time_hour")
    pq.write_table(rows, tmp_path / "february.parquet")
    local = {**job, "source": {"path": str(tmp_path / "february.parquet")}, "sink": {"path": str(tmp_path / "local")}}
    expected = run_job(parse_job(local, model=ApplyJob), LocalEngine())
    assert dict(outcome.manifest.rows) == {"apply": rows.num_rows}
    assert outcome.manifest.drift.keys() == expected.manifest.drift.keys()
    for name, found in outcome.manifest.drift.items():
        assert found == pytest.approx(expected.manifest.drift[name]), name
    assert outcome.manifest.drift["temp"]["null_share"] < 0.1

    with connection.open() as clients:
        features, windows = (
            read_rows(clients, TableName(connection.project, "applied", name), columns=[]).sort_by(by)
            for name, by in (("features", "row_number"), ("windows_stride_2", "first_row"))
        )
    assert pc.unique(features["split"]).to_pylist() == ["apply"]
    for found, folder, by in ((features, "features", "row_number"), (windows, "windows/stride=2", "first_row")):
        published = pq.read_table(tmp_path / "local" / folder).sort_by(by)
        assert found.num_rows == published.num_rows
        for name in published.column_names:
            if pa.types.is_floating(published[name].type):
                np.testing.assert_allclose(found[name].to_numpy(), published[name].to_numpy(), atol=1e-5, err_msg=name)
    assert not run_job(parse_job(job, model=ApplyJob), LocalEngine()).did_work


def test_a_day_of_no_rows_leaves_tables_without_rows(fitted, connection, flights, tmp_path):
    """In place of the rows that were there."""
    with connection.open() as clients:
        clients.jobs.create_dataset("none_applied", exists_ok=True)
    at = dataclasses.asdict(connection)
    counts = {}
    for month in (2, 13):
        source = {"type": "bigquery", "table": str(flights.table), "where": f"month = {month} AND day < 2", "connection": at}
        sink = {"type": "bigquery", "path": str(tmp_path / str(month)), "dataset": "none_applied", "connection": at}
        outcome = run_job(
            parse_job({"state": str(fitted), "source": source, "sink": sink, "runtime": RUNTIME}, model=ApplyJob),
            LocalEngine(),
        )
        with connection.open() as clients:
            for table in ("features", "windows_stride_2", "runs"):
                there = clients.jobs.get_table(f"none_applied.{table}")
                counts[month, table] = (there.num_rows, [field.name for field in there.schema])
    assert dict(outcome.manifest.rows) == {"apply": 0}
    for table in ("features", "windows_stride_2"):
        assert counts[2, table][0] > 100
        assert counts[13, table] == (0, counts[2, table][1])
    assert counts[13, "runs"][0] == 2


def test_nights_are_appended_at_one_place(fitted, connection, flights, tmp_path):
    """Without --overwrite: the rows of earlier nights stay in BigQuery, whatever becomes of this machine's folder."""
    for dataset in ("nights", "other_nights"):
        with connection.open() as clients:
            clients.jobs.create_dataset(dataset, exists_ok=True)
    at = dataclasses.asdict(connection)

    def night(day: int, dataset: str = "nights", disposition: str = "append") -> ApplyJob:
        source = {"type": "bigquery", "table": str(flights.table), "where": f"month = 2 AND day = {day}", "connection": at}
        sink = {"type": "bigquery", "path": str(tmp_path / "out"), "dataset": dataset, "connection": at}
        job = {"state": str(fitted), "source": source, "sink": sink | {"write_disposition": disposition}, "runtime": RUNTIME}
        return parse_job(job, model=ApplyJob)

    def rows() -> dict[str, int]:
        with connection.open() as clients:
            found = clients.jobs.query_and_wait("SELECT run_id, COUNT(*) FROM nights.features GROUP BY run_id")
            return {row[0]: row[1] for row in found}

    ran = {day: run_job(night(day), LocalEngine()).manifest for day in (1, 2)}
    expected = {manifest.fingerprint: manifest.source_rows for manifest in ran.values()}
    assert rows() == expected
    assert "its rows stay where they were published" in dict(plan_report(night(1)).lines)["sink"]
    assert run_job(night(1), LocalEngine()).did_work  # this machine has nothing of it any more
    assert rows() == expected
    assert not run_job(night(1), LocalEngine()).did_work
    for other in (night(2, dataset="other_nights"), night(2, disposition="replace")):
        with pytest.raises(DataError, match="--overwrite"):
            run_job(other, LocalEngine())


def test_a_table_of_another_schema_is_refused(fitted, connection, flights, tmp_path):
    source = {"type": "bigquery", "table": str(flights.table), "connection": dataclasses.asdict(connection)}
    source["columns"] = ["time_hour", "carrier"]
    job = {"state": str(fitted), "source": source, "sink": {"path": str(tmp_path / "out")}, "runtime": RUNTIME}
    with pytest.raises(DataError, match=r"'distance' is missing"):
        run_job(parse_job(job, model=ApplyJob), LocalEngine())
