"""Rows come from a table of BigQuery, from a copy that it has arranged, or from a file: the result is the same."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.cloud import bigquery

from emberharmony.io.sources.bigquery import materialise
from emberharmony.io.sources.bigquery.order import sort_rows
from emberharmony.pipeline.execute import plan_job
from emberharmony.report.plan_report import plan_report
from flows.config.job import parse_job
from flows.run import run
from tests.integration.bigquery_tables import load_file
from tests.jobs import SPLITS, assert_published_alike, read_published

pytestmark = pytest.mark.xdist_group("bigquery-job")

COPIES, N_ROWS = "layout_copies", 900


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    """Shuffled rows of machines, some without a name; no two of a machine at one time, but many at the same time."""
    rng = np.random.default_rng(17)
    place = rng.permutation(N_ROWS)
    number = (rng.integers(0, 4, N_ROWS // 3)[place // 3] + place % 3 * 4) % 12
    return pa.table(
        {
            "id": pa.array(rng.permutation(N_ROWS)),
            "t": pa.array(place // 3 * 60_000_000, pa.timestamp("us", "UTC")),
            "machine": pa.array([None if n == 5 else f"m{n}é" for n in number]),
            "number": pa.array(number - 6),
            "x": pa.array(rng.normal(size=N_ROWS)),
            "y": pa.array(np.where(rng.random(N_ROWS) < 0.1, np.nan, rng.normal(size=N_ROWS)), from_pandas=True),
            "kind": pa.array(rng.choice(["a", "b", None], N_ROWS)),
            "note": pa.array(rng.choice(["some", "text"], N_ROWS)),
        }
    )


@pytest.fixture(scope="module")
def file(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("layouts") / "machines.parquet"
    pq.write_table(rows, path, row_group_size=100)
    return path


@pytest.fixture(scope="module")
def job(connection, file):
    """Makes jobs on the machines."""
    with connection.open() as clients:
        for name in (COPIES, "layouts"):
            clients.jobs.create_dataset(name, exists_ok=True)
        load_file(clients, file, "layouts.machines")

    def made(sink, source=None, columns=None, **changes):
        table = {"type": "bigquery", "table": "layouts.machines", "connection": dataclasses.asdict(connection)}
        return {
            "source": table | (source or {}),
            "sink": {"path": str(sink)},
            "columns": {"time": "t", "target": "y", "passthrough": ["id"], "drop": ["note"]} | (columns or {}),
            "windows": {"size": 3, "strides": [1, 2]},
            "runtime": {"engine": "local", "workers": 1, "backend": "numpy", "chunk_rows": 200},
        } | changes

    return made


def published(job, sink, source, columns=None):
    made = job(sink, source, columns)
    made["source"] = source if "path" in source else made["source"]
    return read_published(sink, run(parse_job(made)))


def by_row(found, stride):
    """Features of each row, and scores of each window by its first and last row, all of them by the rows' ids."""
    every = pa.concat_tables(found.features.values())
    ids = dict(zip(every["row_number"].to_pylist(), every["id"].to_pylist(), strict=True))
    features, windows = {}, {}
    for split in SPLITS:
        values = found.block(split)
        features |= {(split, id_): row for id_, row in zip(found.features[split]["id"].to_pylist(), values, strict=True)}
        part = found.windows[stride][split]
        scores = np.column_stack([part[name].to_numpy() for name in part.column_names if name.startswith("pc_")])
        ends = zip(part["first_row"].to_pylist(), part["last_row"].to_pylist(), strict=True)
        windows |= {(split, ids[a], ids[b]): row for (a, b), row in zip(ends, scores, strict=True)}
    return features, windows


@pytest.mark.parametrize("entity", ["machine", "number"])
def test_many_series(job, file, tmp_path, entity):
    """Row numbers are places in another order of the entities; all else is the same."""
    columns = {"entity": entity}
    expected = published(job, tmp_path / "file", {"path": str(file)}, columns)
    assert expected.manifest["series"]["train"]["series"] == 12
    for name, source in (("copy", {"temporary_dataset": COPIES}), ("table", {})):
        found = published(job, tmp_path / name, source, columns)
        assert found.manifest["series"] == expected.manifest["series"]
        assert found.feature_names == expected.feature_names
        for stride in (1, 2):
            for ours, theirs in zip(by_row(found, stride), by_row(expected, stride), strict=True):
                assert ours.keys() == theirs.keys()
                assert len(ours) > 300
                np.testing.assert_allclose(
                    np.array([ours[key] for key in theirs]), np.array([*theirs.values()]), rtol=1e-6, atol=1e-6
                )


@pytest.fixture
def scattered(monkeypatch):
    """Every table counts as a large one; a copy of it has four partitions or more."""
    monkeypatch.setattr(materialise, "_LARGE_TABLE_BYTES", 0)
    monkeypatch.setattr(bigquery.QueryJob, "total_bytes_processed", 2**30)


@pytest.mark.parametrize("order_by", [[], ["number", "id"]], ids=["all columns", "order_by"])
def test_one_series(job, rows, connection, tmp_path, scattered, order_by):
    """A large table in another order is copied once, clustered by time, instead of being scanned for every chunk."""
    plain = {"order_by": order_by, "where": "id >= 40 -- most"}
    copied = plain | {"temporary_dataset": COPIES}
    seen = parse_job(job(tmp_path / "copy", copied))
    lines, looked_at = dict(plan_report(seen).lines), plan_job(seen, make=False).plan
    assert "scanned when the run makes it" in lines["copy"]
    plan = plan_job(seen).plan
    assert (looked_at.fingerprint, looked_at.chunks) == (plan.fingerprint, plan.chunks)
    assert len(plan.chunks) >= 5
    lines = dict(plan_report(seen).lines)
    assert lines["order"] == "by t, as the server has arranged them in a copy"
    found = published(job, tmp_path / "copy", copied)
    with connection.open() as clients:
        copy = clients.jobs.get_table(found.manifest["spec"]["source"]["pin"]["table"])
    assert str(copy.reference) == plan.table.copy.name
    assert copy.clustering_fields == ["t"]
    assert (copy.time_partitioning.field, copy.time_partitioning.type_) == ("t", "HOUR"), "of five hours"
    assert copy.num_rows == N_ROWS - 40
    needed = [field.name for field in copy.schema]
    assert needed == [name for name in rows.column_names if not order_by or name != "note"]
    without = published(job, tmp_path / "table", plain)
    assert_published_alike(found, without)
    ordered = sort_rows(rows.filter(pa.compute.greater_equal(rows["id"], 40)), by="t", ties=order_by or None)
    pq.write_table(ordered, tmp_path / "t.parquet")
    assert_published_alike(found, published(job, tmp_path / "file", {"path": str(tmp_path / "t.parquet")}))


@pytest.mark.parametrize(
    ("source", "columns", "is_copied"),
    [
        ({}, {"time": None}, False),  # in no order: by hashes of its rows, in a copy of another kind
        ({"key": "id"}, {"time": None}, True),
        ({"table": "layouts.by_time"}, {}, False),
        ({"table": "layouts.by_number", "key": "number"}, {"time": None}, False),
        ({"table": "layouts.by_number"}, {}, True),
        ({"temporary_dataset": None}, {}, False),
    ],
    ids=["no order", "key", "partitioned", "clustered by the key", "clustered by another", "no dataset"],
)
def test_only_a_table_that_every_chunk_would_scan(job, connection, tmp_path, scattered, source, columns, is_copied):
    with connection.open() as clients:
        for name, layout in {"by_time": "PARTITION BY DATE(t)", "by_number": "CLUSTER BY number"}.items():
            sql = f"CREATE TABLE IF NOT EXISTS layouts.{name} {layout} AS SELECT * FROM layouts.loaded"
            clients.jobs.query_and_wait(sql)
    made = job(tmp_path, {"temporary_dataset": COPIES} | source, windows={"strides": []})
    made["columns"] = {key: value for key, value in (made["columns"] | columns).items() if value}
    plan = plan_job(parse_job(made), make=False).plan
    assert bool(plan.table.copy and not plan.table.copy.is_made) == is_copied
    assert plan.n_rows == N_ROWS


def test_partitions_that_a_dataset_would_remove(job, connection, tmp_path, scattered):
    """Times of long ago are not partitions of their own in a dataset whose partitions expire."""
    with connection.open() as clients:
        dataset = bigquery.Dataset(f"{connection.project}.expiring")
        dataset.default_partition_expiration_ms = 86_400_000
        clients.jobs.create_dataset(dataset)
    plan = plan_job(parse_job(job(tmp_path, {"temporary_dataset": "expiring"}))).plan
    with connection.open() as clients:
        copy = clients.jobs.get_table(plan.table.copy.name)
    assert copy.time_partitioning is None
    assert copy.clustering_fields == ["t"]
