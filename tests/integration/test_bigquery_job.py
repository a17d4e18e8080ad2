"""The whole job from table to tables equals the job from Parquet to Parquet, and is done once however often it is begun."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from emberharmony.errors import PlanError
from emberharmony.io.bigquery import TableName
from emberharmony.io.bigquery.order import sort_rows
from emberharmony.io.bigquery.read import read_rows
from flows.config import Job, load_job, parse_job
from flows.run import run
from tests.integration.conftest import ROOT

pytestmark = pytest.mark.xdist_group("bigquery")


def connection_of(connection) -> dict:
    return dataclasses.asdict(connection)


@pytest.fixture(scope="module")
def settings() -> dict:
    """The demo's job without its source and sink."""
    job = yaml.safe_load((ROOT / "configs" / "flights.yaml").read_text())
    job["runtime"] = {"engine": "none", "backend": "numpy", "max_memory_gb": 4, "workers": 2, "chunk_rows": 60_000}
    return {name: section for name, section in job.items() if name not in ("source", "sink")}


@pytest.fixture(scope="module")
def parquet_run(settings, flights, tmp_path_factory) -> Path:
    """The same rows as a file, in the order that ties have in BigQuery, through the same job."""
    folder = tmp_path_factory.mktemp("parquet-run")
    pq.write_table(sort_rows(pq.read_table(flights.path), by="time_hour"), folder / "flights.parquet", row_group_size=50_000)
    source = {"type": "parquet", "path": str(folder / "flights.parquet")}
    run(parse_job({**settings, "source": source, "sink": {"type": "parquet", "path": str(folder / "out")}}))
    return folder / "out"


def bigquery_job(settings, connection, flights, path, **sink) -> Job:
    source = {"type": "bigquery", "table": str(flights.table), "connection": connection_of(connection)}
    sink = {"type": "bigquery", "path": str(path), "connection": connection_of(connection), **sink}
    return parse_job({**settings, "source": source, "sink": sink})


def published(connection, dataset: str, table: str) -> pa.Table:
    with connection.open() as clients:
        return read_rows(clients, TableName(connection.project, dataset, table), columns=[])


def same_rows(found: pa.Table, folder: Path, by: str) -> None:
    """Rows of a published table are those of a folder of parts: exact, but for floats that are summed in another order."""
    expected = pq.read_table(folder).sort_by(by)
    found = found.sort_by(by)
    assert sorted(found.column_names) == sorted({*expected.column_names} - {"stride"})
    assert found.num_rows == expected.num_rows
    for name in found.column_names:
        ours, theirs = found[name], expected[name]
        if pa.types.is_floating(ours.type):
            np.testing.assert_allclose(ours.to_numpy(), theirs.to_numpy(), rtol=1e-5, atol=1e-5, err_msg=name)
        else:
            assert ours.to_pylist() == theirs.to_pylist(), name


def test_flights_from_table_to_tables(settings, connection, flights, parquet_run, tmp_path):
    with connection.open() as clients:
        clients.jobs.create_dataset("flights_out")
    job = bigquery_job(settings, connection, flights, tmp_path / "out", dataset="flights_out")
    outcome = run(job)
    assert outcome.did_work
    same_rows(published(connection, "flights_out", "features"), parquet_run / "features", "row_number")
    for stride in (1, 3, 5):
        windows = published(connection, "flights_out", f"windows_stride_{stride}")
        same_rows(windows, parquet_run / "windows" / f"stride={stride}", "first_row")
    [line] = published(connection, "flights_out", "runs").to_pylist()
    assert line["fingerprint"] == outcome.manifest.fingerprint
    assert line["source_rows"] == 336_776

    assert not run(job).did_work
    moved = bigquery_job(settings, connection, flights, tmp_path / "out", dataset="elsewhere")
    with pytest.raises(PlanError, match="flights_out"):
        run(moved)


def test_the_example_names_every_section():
    job = load_job(ROOT / "configs" / "bigquery.yaml", ["source.connection.project=my-project"])
    assert (job.source.connection.project, job.sink.dataset) == ("my-project", "FEATURES")
