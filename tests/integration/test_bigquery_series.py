"""A table of many series in BigQuery makes the features and windows that its rows make from a file."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.io.sources.bigquery.order import sort_rows
from emberharmony.report.plan_report import plan_report
from flows.config.job import parse_job
from flows.run import run
from tests.jobs import SPLITS

pytestmark = pytest.mark.xdist_group("bigquery-job")

JOB = {
    "columns": {
        "time": "time_hour",
        "entity": ["origin", "tailnum"],
        "target": "arr_delay",
        "drop": ["dep_time", "dep_delay", "arr_time", "dest", "carrier"],
    },
    "windows": {"size": 2, "strides": [1], "max_gap": "2d"},
    "split": {"fractions": [0.6, 0.2, 0.2]},
    "runtime": {"engine": "local", "backend": "numpy", "max_memory_gb": 4, "workers": 1, "chunk_rows": 1_000},
}


def parts(folder, split) -> pa.Table:
    files = sorted((folder / f"split={split}").glob("*.parquet"))
    return pa.concat_tables([pq.ParquetFile(path).read() for path in files])


def test_planes_of_a_table(connection, flights, tmp_path):
    where = "month = 2"
    source = {"type": "bigquery", "table": str(flights.table), "where": where, "connection": dataclasses.asdict(connection)}
    job = parse_job(JOB | {"source": source, "sink": {"path": str(tmp_path / "out")}})
    lines = dict(plan_report(job).lines)
    assert lines["order"] == "by origin, tailnum, time_hour, arranged first: the table is in another order"
    assert run(job).manifest.series["train"]["series"] > 500

    rows = sort_rows(pq.read_table(flights.path, filters=[("month", "=", 2)]), by="time_hour")
    pq.write_table(rows, tmp_path / "t.parquet", row_group_size=900)
    local = {"source": {"path": str(tmp_path / "t.parquet")}, "sink": {"path": str(tmp_path / "local")}}
    manifest = run(parse_job(JOB | local)).manifest
    for split in SPLITS:
        for folder in ("features", "windows/stride=1"):
            found, expected = (parts(tmp_path / name / folder, split) for name in ("out", "local"))
            assert found.column_names == expected.column_names
            for name in found.column_names:
                if pa.types.is_floating(found[name].type):
                    np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-5, err_msg=name)
                else:
                    assert found[name].to_pylist() == expected[name].to_pylist(), (split, folder, name)
    assert sum(manifest.strides["1"].windows.values()) > 500
