"""The real service, where one is named: what no emulator enforces.

Set EMBERHARMONY_BIGQUERY_PROJECT and EMBERHARMONY_BIGQUERY_DATASET (a scratch dataset) and, where they apply,
EMBERHARMONY_BIGQUERY_LOCATION (US by default), EMBERHARMONY_BIGQUERY_STAGING (gs://..., for loads from Cloud Storage) and
EMBERHARMONY_BIGQUERY_ENDPOINTS (REST, gRPC and Cloud Storage, with commas between them). Costs some cents at most; what it
makes is removed.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import uuid
from itertools import pairwise

import numpy as np
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import TerminalError
from emberharmony.features import TerabyteFeatureExtractor
from emberharmony.features.columns import ColumnSpec, FeatureColumn
from emberharmony.io.bigquery import BigQueryConnection, TableName
from emberharmony.io.bigquery.read import read_rows
from emberharmony.io.sinks.bigquery.bucket import remove_all
from emberharmony.io.sinks.bigquery.publication import Publication
from emberharmony.io.sinks.bigquery.spec import BigQuerySinkSpec
from emberharmony.io.sources.bigquery import materialise, partition_clauses
from emberharmony.io.sources.bigquery.source import BigQuerySource
from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec
from emberharmony.pipeline.plan import Resources, make_plan
from emberharmony.pipeline.spec import PipelineSpec
from flows.config.job import Job, parse_job
from flows.run import run
from tests.integration.bigquery_tables import METHODS, Published, expected, make_run, make_table

PROJECT = os.environ.get("EMBERHARMONY_BIGQUERY_PROJECT")
DATASET = os.environ.get("EMBERHARMONY_BIGQUERY_DATASET")
STAGING = os.environ.get("EMBERHARMONY_BIGQUERY_STAGING")

pytestmark = [
    pytest.mark.bigquery_real,
    pytest.mark.skipif(
        not (PROJECT and DATASET),
        reason="the real BigQuery: set EMBERHARMONY_BIGQUERY_PROJECT and EMBERHARMONY_BIGQUERY_DATASET",
    ),
]

DAY = 86_400_000_000

ROWS = """
SELECT TIMESTAMP_ADD(TIMESTAMP '2026-01-01', INTERVAL DIV(i, 3) MINUTE) AS t, i AS id, RAND() AS x,
  IF(MOD(i, 7) = 0, NULL, CONCAT('c', CAST(MOD(i, 5) AS STRING))) AS c, MOD(i, 2) = 0 AS b
FROM UNNEST(GENERATE_ARRAY(1, 20000)) AS i
"""


@pytest.fixture(scope="module")
def connection() -> BigQueryConnection:
    rest, grpc, storage = os.environ.get("EMBERHARMONY_BIGQUERY_ENDPOINTS", ",,").split(",")
    return BigQueryConnection(
        project=PROJECT,
        location=os.environ.get("EMBERHARMONY_BIGQUERY_LOCATION", "US"),
        api_endpoint=rest or None,
        grpc_endpoint=grpc or None,
        storage_endpoint=storage or None,
        insecure=rest.startswith("http://"),
        labels={"suite": "real"},
        maximum_bytes_billed=10**9,
    )


@pytest.fixture
def prefix(connection):
    made = f"eh_{uuid.uuid4().hex[:8]}_"
    yield made
    with connection.open() as clients:
        for table in clients.jobs.list_tables(DATASET):
            if table.table_id.startswith((made, "emberharmony_")):
                clients.jobs.delete_table(table, not_found_ok=True)


@pytest.fixture
def table(connection, prefix) -> TableName:
    name = TableName(str(PROJECT), str(DATASET), f"{prefix}rows")
    with connection.open() as clients:
        clients.jobs.query(f"CREATE TABLE {name.sql} PARTITION BY DATE(t) AS {ROWS}").result()
    return name


def test_a_table_is_read_as_it_was(connection, table):
    """Rows that come in after the plan are in no answer, neither of queries nor of the Storage Read API."""
    pinned = BigQuerySource(BigQuerySourceSpec(table=str(table), connection=connection)).pin("t")
    with connection.open() as clients:
        clients.jobs.query(f"INSERT INTO {table.sql} (t, id) VALUES (TIMESTAMP '2026-01-01', 0)").result()
        source = BigQuerySource(pinned, clients)
        assert source.describe().n_rows == 20_000
        span = source.time_range("t")
        assert source.count_times("t", span.first, span.last - span.first + 1, 1).tolist() == [20_000]
        rows = read_rows(clients, table, columns=["id"], snapshot=pinned.pin.read_at)
        assert sorted(rows["id"].to_pylist()) == list(range(1, 20_001))


def test_chunks_are_partitions_and_pieces_of_them(connection, table):
    """4,320 rows a day, three to a minute: whole days, then halves of them, then minutes that `id` parts."""
    source = BigQuerySourceSpec(table=str(table), order_by=("id",), connection=connection)
    for chunk_rows, n_chunks in ((5_000, 5), (2_500, 10)):
        chunks = make_plan(PipelineSpec(source, ColumnSpec(time="t")), Resources(chunk_rows=chunk_rows)).chunks
        assert len(chunks) == n_chunks
        assert all(start // DAY == (stop - 1) // DAY for start, stop in (chunk.times for chunk in chunks))
        rows = [BigQuerySource(source).read(chunk, ["id"], time="t")["id"].to_pylist() for chunk in chunks]
        assert [number for part in rows for number in part] == list(range(1, 20_001))
    few = dataclasses.replace(source, where="id <= 9")
    chunks = make_plan(PipelineSpec(few, ColumnSpec(time="t")), Resources(chunk_rows=1)).chunks
    assert [BigQuerySource(few).read(chunk, ["id"], time="t")["id"].to_pylist() for chunk in chunks] == [
        [i] for i in range(1, 10)
    ]


def test_rows_that_nothing_orders(connection, table, prefix, tmp_path):
    """Their copy is made again, and numbers them as before."""
    source = {"type": "bigquery", "table": str(table), "temporary_dataset": DATASET, "where": "id <= 3000"}
    numbers = []
    for name in ("first", "second"):
        job = {
            "source": source | {"connection": dataclasses.asdict(connection)},
            "sink": {"path": str(tmp_path / name)},
            "columns": {"passthrough": ["id"]},
            "windows": {"strides": []},
            "runtime": {"engine": "local", "backend": "numpy", "workers": 1, "chunk_rows": 900},
        }
        outcome = run(parse_job(job))
        rows = pq.read_table(tmp_path / name / "features", columns=["row_number", "id", "split"]).sort_by("row_number")
        numbers.append(rows.to_pydict())
        with connection.open() as clients:
            copy = clients.jobs.get_table(outcome.manifest.spec["source"]["pin"]["table"])
            assert copy.clustering_fields == ["_eh_row_hash"]
            clients.jobs.delete_table(copy)
    assert numbers[0] == numbers[1]
    assert sorted(numbers[0]["id"]) == list(range(1, 3_001)) != numbers[0]["id"]


def test_many_series_in_a_clustered_copy(connection, table, prefix, tmp_path, monkeypatch):
    """Every entity's rows are adjacent and in time order, and an entity that exceeds a chunk is divided."""
    monkeypatch.setattr(partition_clauses, "PARTITION_BYTES", 2**12)
    job = {
        "source": {"type": "bigquery", "table": str(table), "temporary_dataset": DATASET, "where": "id <= 3000"}
        | {"connection": dataclasses.asdict(connection)},
        "sink": {"path": str(tmp_path)},
        "columns": {"time": "t", "entity": "c", "passthrough": ["id"]},
        "windows": {"size": 3, "strides": [1]},
        "runtime": {"engine": "local", "backend": "numpy", "workers": 1, "chunk_rows": 200},
    }
    outcome = run(parse_job(job))
    with connection.open() as clients:
        copy = clients.jobs.get_table(outcome.manifest.spec["source"]["pin"]["table"])
    assert copy.clustering_fields == ["_eh_entity", "t"]
    assert copy.range_partitioning.field == "_eh_entity"
    rows = pq.read_table(tmp_path / "features", columns=["row_number", "c", "id"]).sort_by("row_number")
    assert rows["row_number"].to_pylist() == list(range(3_000))
    names, numbers = rows["c"].to_pylist(), rows["id"].to_pylist()
    assert sorted(numbers) == list(range(1, 3_001))
    assert sum(a != b for a, b in pairwise(names)) == len(set(names)) - 1
    assert all(a < b for (a, b), (c, d) in zip(pairwise(numbers), pairwise(names), strict=True) if c == d)


@pytest.mark.parametrize("order", [{"key": "id"}, {"columns": {"time": "t"}}], ids=["key", "time"])
def test_one_series_in_a_clustered_copy(connection, table, prefix, tmp_path, monkeypatch, order):
    """A table that is partitioned by nothing that orders it is copied, and its rows come in their order."""
    monkeypatch.setattr(materialise, "_LARGE_TABLE_BYTES", 0)
    monkeypatch.setattr(partition_clauses, "PARTITION_BYTES", 2**12)
    with connection.open() as clients:
        clients.jobs.query(f"CREATE TABLE {DATASET}.{prefix}heap AS SELECT * FROM {table.sql}").result()
    columns = {"passthrough": ["id"]} | order.get("columns", {})
    source = {"type": "bigquery", "table": f"{DATASET}.{prefix}heap", "temporary_dataset": DATASET, "order_by": ["id"]}
    job = {
        "source": source | {"connection": dataclasses.asdict(connection), "key": order.get("key")},
        "sink": {"path": str(tmp_path)},
        "columns": columns,
        "windows": {"size": 3, "strides": [1]},
        "runtime": {"engine": "local", "backend": "numpy", "workers": 1, "chunk_rows": 3_000},
    }
    outcome = run(parse_job(job))
    by = "id" if "key" in order else "t"
    with connection.open() as clients:
        copy = clients.jobs.get_table(outcome.manifest.spec["source"]["pin"]["table"])
    assert copy.clustering_fields == [by]
    assert (copy.range_partitioning or copy.time_partitioning).field == by
    rows = pq.read_table(tmp_path / "features", columns=["row_number", "id"]).sort_by("row_number")
    assert rows["id"].to_pylist() == list(range(1, 20_001))


def test_the_profile_is_accepted_and_measured(connection, table):
    source = BigQuerySource(BigQuerySourceSpec(table=str(table), connection=connection))
    kinds = {"id": "numeric", "x": "numeric", "c": "categorical", "b": "boolean", "t": "datetime"}
    figures = source.profile([FeatureColumn(name, kind) for name, kind in kinds.items()], time="t")
    assert figures["id"].moments.mean == pytest.approx(10_000.5)
    assert figures["id"].quantiles[500] == pytest.approx(10_000, rel=0.02)
    assert figures["c"].n_null == 20_000 // 7


@pytest.mark.parametrize("method", METHODS)
def test_tables_are_published_once(connection, prefix, tmp_path, method):
    if method == "bucket" and not STAGING:
        pytest.skip("set EMBERHARMONY_BIGQUERY_STAGING to a gs:// address")
    settings = METHODS[method] | ({"staging": STAGING} if method == "bucket" else {})
    spec = BigQuerySinkSpec(
        dataset=str(DATASET), path="unused", prefix=prefix, connection=connection, write_disposition="append", **settings
    )
    made = make_table(tmp_path)
    with connection.open() as clients:
        for _ in range(2):
            Publication(spec, clients).publish([made], make_run(made, prefix))
        there = clients.jobs.get_table(f"{DATASET}.{prefix}features")
        assert method != "bucket" or remove_all(clients, f"{STAGING}/emberharmony-") == 0
    assert Published(connection, DATASET).rows(f"{prefix}features") == expected(made)
    assert (there.time_partitioning.field, there.clustering_fields) == ("t", ["split"])
    assert {field.name: field.description for field in there.schema}["carrier_AA"] == "1 where carrier is AA"


def test_a_nightly_slice(connection, prefix, tmp_path):
    spec = BigQuerySinkSpec(
        dataset=str(DATASET), path="unused", prefix=prefix, connection=connection, write_disposition="replace_partitions"
    )
    week, night = make_table(tmp_path / "week", x=1), make_table(tmp_path / "night", first_day=5, days=4, x=2)
    with connection.open() as clients:
        for number, made in enumerate([week, night]):
            Publication(spec, clients).publish([made], make_run(made, f"{prefix}{number}"))
    kept = [row for row in expected(week) if row[1] < dt.datetime(2026, 1, 5, tzinfo=dt.UTC)]
    assert Published(connection, DATASET).rows(f"{prefix}features") == sorted([*kept, *expected(night)])


@pytest.fixture
def job(connection, prefix, table, tmp_path) -> Job:
    """From table to tables, which are added to; where the dataset lies is left for the run to find out."""
    plain = dataclasses.asdict(dataclasses.replace(connection, location=None))
    sink = {"type": "bigquery", "dataset": DATASET, "prefix": prefix, "path": str(tmp_path), "write_disposition": "append"}
    return parse_job(
        {
            "source": {"type": "bigquery", "table": str(table), "connection": plain},
            "sink": {**sink, "connection": plain},
            "columns": {"time": "t", "target": "x"},
            "runtime": {"engine": "local", "backend": "numpy"},
        }
    )


@pytest.mark.parametrize("step", [None, "_stage", "_publish", "_tell"])
def test_from_table_to_tables(connection, prefix, job, monkeypatch, step):
    """Also where a run died after a step, and was started again."""
    if step is not None:
        real = getattr(Publication, step)

        def dies(self, *arguments):
            real(self, *arguments)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Publication, step, dies)
            with pytest.raises(KeyboardInterrupt):
                run(job)
    manifest = run(job).manifest
    with connection.open() as clients:
        features, windows, runs = (
            read_rows(clients, TableName(str(PROJECT), str(DATASET), f"{prefix}{name}"), columns=[])
            for name in ("features", "windows_stride_3", "runs")
        )
    assert np.array_equal(np.sort(features["row_number"].to_numpy()), np.arange(manifest.source_rows))
    assert windows.num_rows == sum(manifest.strides["3"].windows.values())
    assert runs["fingerprint"].to_pylist() == [manifest.fingerprint]


def test_a_frame_in_a_frame_out(connection, table):
    """bigframes as it is: the other tests replace three parts of it."""
    import bigframes

    extractor = TerabyteFeatureExtractor(verbose=False, preferred_backend="numpy")
    options = bigframes.BigQueryOptions(project=PROJECT, location=connection.location, ordering_mode="partial")
    with bigframes.connect(options) as session:
        frame = session.read_gbq(str(table)).sort_values("id")
        prepared = extractor.prepare_data(frame, target_column="x", index_col="t")
        local = extractor.prepare_data(frame.to_pandas(), target_column="x", index_col="t")
        features = extractor.transform(frame.set_index("id", drop=False), local.state).to_pandas()
        for split in ("train", "validation", "test"):
            ours, theirs = getattr(prepared, split).to_pandas(), getattr(local, split)
            assert ours.columns.equals(theirs.columns)
            np.testing.assert_array_equal(ours.index.to_numpy(), theirs.index.to_numpy())
            np.testing.assert_allclose(ours.astype("float64"), theirs.astype("float64"), rtol=0, atol=1e-6)
    assert features.index.tolist() == list(range(1, 20_001))


def test_no_table_and_no_rows(connection, table):
    spec = BigQuerySourceSpec(table=str(table), where="t < TIMESTAMP '1999-01-01'", connection=connection)
    assert BigQuerySource(spec).describe().n_rows == 0
    with pytest.raises(TerminalError):
        BigQuerySource(dataclasses.replace(spec, table=f"{DATASET}.no_such_table")).describe()
