"""A table of many series in BigQuery makes the features and windows that its rows make from a file."""

from __future__ import annotations

import dataclasses
import datetime as dt
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.io.sources.bigquery.order import sort_rows
from emberharmony.pipeline.execute import plan_job
from emberharmony.report.plan_report import plan_report
from flows.config.job import parse_job
from flows.run import run
from tests.jobs import SPLITS

pytestmark = pytest.mark.xdist_group("bigquery-job")

ENTITY, TIME = ["origin", "tailnum"], "time_hour"
DROPPED = ["dep_time", "dep_delay", "arr_time", "dest", "carrier"]
JOB = {
    "columns": {"time": TIME, "entity": ENTITY, "target": "arr_delay", "drop": DROPPED},
    "windows": {"size": 2, "strides": [1], "max_gap": "2d"},
    "split": {"fractions": [0.6, 0.2, 0.2]},
    "runtime": {"engine": "local", "backend": "numpy", "max_memory_gb": 4, "workers": 1, "chunk_rows": 1_000},
}


def parts(folder, split) -> pa.Table:
    files = sorted((folder / f"split={split}").glob("*.parquet"))
    return pa.concat_tables([pq.ParquetFile(path).read() for path in files])


def assert_alike(found_in, expected_in) -> None:
    """The same rows in the same order, with the same names, keys and row numbers."""
    for split in SPLITS:
        for folder in ("features", "windows/stride=1"):
            found, expected = (parts(sink / folder, split) for sink in (found_in, expected_in))
            assert found.column_names == expected.column_names
            for name in found.column_names:
                if pa.types.is_floating(found[name].type):
                    np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-5, err_msg=name)
                else:
                    assert found[name].to_pylist() == expected[name].to_pylist(), (split, folder, name)


def run_on_file(rows: pa.Table, folder, columns=JOB["columns"]) -> None:
    pq.write_table(rows, folder / "t.parquet", row_group_size=900)
    places = {"source": {"path": str(folder / "t.parquet")}, "sink": {"path": str(folder / "local")}}
    run(parse_job(JOB | places | {"columns": columns}))


def in_copied_order(rows: pa.Table, sink, entity) -> pa.Table:
    """The rows in the order of the copy: entities as they were published, then by time, then by all columns that are read."""
    published = pa.concat_tables(parts(sink / "features", split) for split in SPLITS).sort_by("row_number")
    assert published["row_number"].to_pylist() == list(range(rows.num_rows))
    entities = list(zip(*(published[name].to_pylist() for name in entity), strict=True))
    place = {entity: i for i, entity in enumerate(dict.fromkeys(entities))}
    assert sum(a != b for a, b in pairwise(entities)) == len(place) - 1, "an entity's rows are adjacent"
    of_row = zip(*(rows[name].to_pylist() for name in entity), strict=True)
    rows = rows.append_column("place", pa.array([place[entity] for entity in of_row]))
    return sort_rows(rows, by="place", ties=[TIME, *sorted({*rows.column_names} - {*DROPPED})]).drop_columns("place")


@pytest.fixture(scope="module")
def job(connection, flights):
    """Makes jobs on the flights of a month, which the server arranges unless there is no dataset for its copy."""
    with connection.open() as clients:
        clients.jobs.create_dataset("series_copies", exists_ok=True)

    def made(sink, **source):
        table = {"type": "bigquery", "table": str(flights.table), "where": "month = 2", "temporary_dataset": "series_copies"}
        table |= {"connection": dataclasses.asdict(connection)} | source
        return JOB | {"source": table, "sink": {"path": str(sink)}}

    return made


@pytest.fixture(scope="module")
def rows(flights) -> pa.Table:
    return pq.read_table(flights.path, filters=[("month", "=", 2)])


def test_rows_that_this_job_arranges(job, rows, tmp_path):
    """Without a dataset for a copy, rows are read in time order, and arranged by the stages of the job."""
    remote = parse_job(job(tmp_path / "out", temporary_dataset=None))
    report = plan_report(remote)
    lines, [warning] = dict(report.lines), [one for one in report.figures.warnings if one.code == "arranged_here"]
    assert "if `source.temporary_dataset` says where" in warning.text
    assert lines["order"] == "by origin, tailnum, time_hour, arranged first: the table is in another order"
    assert "copy" not in lines
    assert run(remote).manifest.series["train"]["series"] > 500
    run_on_file(sort_rows(rows, by=TIME), tmp_path)
    assert_alike(tmp_path / "out", tmp_path / "local")


@pytest.mark.parametrize(("entity", "chunk_rows"), [(["origin"], 300), (ENTITY, 1_000)])
def test_rows_that_the_server_arranges(job, rows, connection, tmp_path, entity, chunk_rows):
    sink, columns = tmp_path / "out", JOB["columns"] | {"entity": entity}
    remote = parse_job(job(sink) | {"columns": columns, "runtime": JOB["runtime"] | {"chunk_rows": chunk_rows}})
    plan = plan_job(remote).plan
    assert not plan.inputs
    assert plan.levels == 0
    assert all(chunk.ties for chunk in plan.chunks) == (entity == ["origin"]), "an entity exceeds a chunk"
    assert any(chunk.ties for chunk in plan.chunks) == (entity == ["origin"])
    assert max(chunk.n_rows for chunk in plan.chunks) <= chunk_rows
    lines = dict(plan_report(remote).lines)
    assert lines["order"] == f"by {', '.join(entity)}, time_hour, as the server has arranged them in a copy"
    assert "arranged_here" not in [one.code for one in plan_report(remote).figures.warnings]
    assert plan.table.copy is not None
    assert lines["copy"].startswith(f"{plan.table.copy.name}: 0 bytes scanned to make it (less than $0.01), ")
    run(remote)
    run_on_file(in_copied_order(rows, sink, entity), tmp_path, columns)
    assert_alike(sink, tmp_path / "local")
    with connection.open() as clients:
        copy = clients.jobs.get_table(plan.table.copy.name)
    assert copy.clustering_fields == ["_eh_entity", TIME]
    assert not {*DROPPED} & {field.name for field in copy.schema}, "only what is needed is copied"
    assert copy.num_rows == rows.num_rows
    assert dt.timedelta(hours=23) < copy.expires - dt.datetime.now(dt.UTC) <= dt.timedelta(hours=24)
