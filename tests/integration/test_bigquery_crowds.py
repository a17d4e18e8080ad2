"""Days of more rows than a chunk may hold: parted by what breaks their ties."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from emberharmony.errors import PlanError
from emberharmony.features.columns import ColumnSpec
from emberharmony.io.bigquery import TableName
from emberharmony.io.sources.bigquery.source import BigQuerySource
from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec
from emberharmony.io.store.opening import result_at
from emberharmony.pipeline.plan import Resources, make_plan
from emberharmony.pipeline.run import open_run
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.pipeline.staging import stage_plan
from flows.config.job import parse_job
from flows.run import run
from tests.jobs import assert_published_alike, read_published

pytestmark = pytest.mark.xdist_group("bigquery-job")

COLUMNS = {"time": "day", "target": "distance"}


@pytest.fixture(scope="module")
def spec(connection, flights) -> BigQuerySourceSpec:
    """Three days of some 900 flights each, which nothing but a number tells apart."""
    name = TableName(connection.project, "raw", "daily")
    numbered = f"SELECT *, ROW_NUMBER() OVER (ORDER BY tailnum, time_hour, flight) * 1000003 AS id FROM {flights.table.sql}"
    columns = "DATE(time_hour) AS day, id, distance, carrier, arr_delay, IF(MOD(id, 7) = 0, NULL, id) AS gappy"
    with connection.open() as clients:
        clients.jobs.query_and_wait(
            f"CREATE TABLE {name.sql} PARTITION BY day AS SELECT {columns} FROM ({numbered}) WHERE month = 6 AND day <= 3"
        )
    return BigQuerySourceSpec(table=str(name), order_by=("id",), connection=connection)


def test_no_chunk_is_larger_and_the_order_is_whole(spec, tmp_path):
    plan = make_plan(PipelineSpec(spec, ColumnSpec(**COLUMNS)), Resources(chunk_rows=300))
    assert max(chunk.n_rows for chunk in plan.chunks) <= 300
    assert len({chunk.times for chunk in plan.chunks}) == 4 < len(plan.chunks)  # the last evening is a day of its own in UTC
    source = BigQuerySource(spec)
    parts = [source.read(chunk, ["day", "id", "carrier"], time="day").to_pandas() for chunk in plan.chunks]
    assert [len(part) for part in parts] == [chunk.n_rows for chunk in plan.chunks]
    assert [number for part in parts for number in part["row_number"]] == list(range(plan.n_rows))
    keys = [key for part in parts for key in zip(part["day"], part["id"], strict=True)]
    assert keys == sorted(set(keys))
    assert open_run(stage_plan(plan, result_at(tmp_path), backend="numpy")).plan.chunks == plan.chunks


@pytest.mark.parametrize(("method", "size"), [("sequential", 5), ("random", 1)])
def test_a_day_in_pieces_publishes_the_same(spec, connection, tmp_path, method, size):
    """Law 1: row numbers, which decide the split, and windows from one piece into the next."""

    def published(name: str, chunk_rows: int):
        source = dataclasses.asdict(spec) | {"columns": ["day", "id", "distance", "carrier", "arr_delay"]}
        runtime = {"engine": "local", "workers": 1, "backend": "numpy", "chunk_rows": chunk_rows}
        sink = tmp_path / name
        job = {"source": source, "sink": {"path": str(sink)}, "columns": COLUMNS, "split": {"method": method}}
        return read_published(sink, run(parse_job(job | {"windows": {"size": size, "strides": [1]}, "runtime": runtime})))

    whole, pieces = published("whole", 10_000), published("pieces", 250)
    assert len(whole.features["train"]) > 2_000
    assert_published_alike(pieces, whole)


@pytest.mark.parametrize("order_by", [(), ("carrier",), ("gappy",)])
def test_what_cannot_be_parted_is_read_whole_or_refused(spec, order_by):
    pipeline = PipelineSpec(dataclasses.replace(spec, order_by=order_by), ColumnSpec(**COLUMNS))
    chunks = make_plan(pipeline, Resources(chunk_rows=300)).chunks
    assert [chunk.ties for chunk in chunks] == [None] * 4
    memory = make_plan(pipeline, Resources(chunk_rows=300, workers=16, max_memory_gb=64.0)).memory
    scarce = (memory.projected_bytes - 5_000_000) / 2**30  # half of what 600 rows more take in 16 workers
    with pytest.raises(PlanError, match=r"rows have the same time.*source\.order_by with a column of whole numbers"):
        make_plan(pipeline, Resources(chunk_rows=300, workers=16, max_memory_gb=scarce))
    assert np.diff([chunk.first_row for chunk in chunks]).min() > 300
