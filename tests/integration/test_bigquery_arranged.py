"""The copy in which BigQuery arranges many series: what it holds and costs, how long it lives, and what is refused before."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlglot
from google.cloud import bigquery

from emberharmony.errors import DataError, PlanError, TerminalError
from emberharmony.io.bigquery.read import read_rows
from emberharmony.io.sources.bigquery import read as read_module
from emberharmony.io.sources.bigquery.order import sort_rows
from emberharmony.io.sources.registry import open_source
from emberharmony.pipeline.execute import is_published, plan_job, run_job
from emberharmony.report.plan_report import plan_report
from flows.config.job import ApplyJob, parse_job
from flows.engines.local import LocalEngine
from flows.run import run
from tests.faults import victims
from tests.integration.bigquery_tables import load_file, recorded
from tests.jobs import SPLITS, assert_published_alike, read_published

pytestmark = pytest.mark.xdist_group("bigquery-job")

N_ROWS, N_DEVICES, COPIES = 1_200, 30, "arranged_copies"


def sensors() -> pa.Table:
    """Rows of devices that report in turn, not all of them at all times; their names are in a struct as well."""
    rng = np.random.default_rng(8)
    numbers = rng.integers(0, N_DEVICES, N_ROWS)
    names = [None if number == 3 else f"device {number}" for number in numbers]
    return pa.table(
        {
            "device": pa.array(names),
            "floor": pa.array(numbers % 4),
            "inner": pa.array([{"device": name, "n": number} for name, number in zip(names, numbers, strict=True)]),
            "id": pa.array(rng.permutation(N_ROWS)),
            "t": pa.array(rng.integers(0, 10**6, N_ROWS) * 10**6, pa.timestamp("us", "UTC")),
            "x": pa.array(rng.normal(size=N_ROWS)),
            "kind": pa.array(rng.choice(["a", "b", None], N_ROWS)),
            "wide": pa.array(["x" * 50] * N_ROWS),
        }
    )


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    return sensors()


@pytest.fixture(scope="module")
def job(connection, rows, tmp_path_factory):
    """Makes jobs on the sensors."""
    path = tmp_path_factory.mktemp("arranged") / "sensors.parquet"
    pq.write_table(rows, path)
    with connection.open() as clients:
        for name in (COPIES, "sensors"):
            clients.jobs.create_dataset(name, exists_ok=True)
        load_file(clients, path, "sensors.all")
        missing = "SELECT * REPLACE (IF(id < 7, NULL, t) AS t) FROM sensors.all"
        clients.jobs.query_and_wait(f"CREATE OR REPLACE TABLE sensors.timeless AS {missing}")

    def made(sink, source=None, **changes):
        table = {"table": "sensors.all", "temporary_dataset": COPIES, "connection": dataclasses.asdict(connection)}
        return {
            "source": {"type": "bigquery"} | table | (source or {}),
            "sink": {"path": str(sink)},
            "columns": {"time": "t", "entity": "device", "target": "x", "drop": ["wide", "inner"]},
            "windows": {"size": 3, "strides": [1, 2]},
            "runtime": {"engine": "local", "workers": 1, "backend": "numpy", "chunk_rows": 400},
        } | changes

    return made


@pytest.fixture(scope="module")
def published(job, tmp_path_factory):
    sink = tmp_path_factory.mktemp("arranged") / "all"
    return read_published(sink, run(parse_job(job(sink))))


@pytest.fixture
def copies(connection):
    """Returns the copies that there are."""

    def found() -> list[bigquery.Table]:
        with connection.open() as clients:
            return [clients.jobs.get_table(table.reference) for table in clients.jobs.list_tables(COPIES)]

    return found


KEYED = {"entity": "device", "drop": ["wide", "t", "inner"]}


@pytest.mark.parametrize(
    ("columns", "source", "ties"),
    [
        (KEYED | {"entity": ["device", "floor"]}, {"key": "id", "where": "id > 100 -- most"}, ["id"]),
        ({"entity": "kind", "time": "t", "target": "x"}, {"order_by": ["device", "id"]}, ["t", "device", "id"]),
        ({"entity": "inner_device", "time": "t", "drop": ["inner_n"]}, {}, ["t", "device", "floor", "id"]),
    ],
    ids=["key", "order of ties", "entity in a struct"],
)
def test_the_result_is_that_of_a_file_in_the_order_of_the_copy(job, rows, tmp_path, monkeypatch, columns, source, ties):
    def read(*args, columns, **options):
        """The tests' server does not select fields of a STRUCT as documented, see `test_bigquery_structs.asked`."""
        return read_rows(*args, columns=list(dict.fromkeys(name.split(".")[0] for name in columns)), **options)

    monkeypatch.setattr(read_module, "read_rows", read)
    published = read_published(tmp_path / "out", run(parse_job(job(tmp_path / "out", source, columns=columns))))
    rows = rows.filter(pa.compute.greater(rows["id"], 100)) if "where" in source else rows
    entity = [columns["entity"]] if isinstance(columns["entity"], str) else columns["entity"]
    every = pa.concat_tables(published.features.values()).sort_by("row_number")
    assert every["row_number"].to_pylist() == list(range(rows.num_rows))
    names = zip(*(every[name].to_pylist() for name in entity), strict=True)
    order = {name: i for i, name in enumerate(dict.fromkeys(names))}
    flat = rows.flatten().rename_columns([name.replace(".", "_") for name in rows.flatten().column_names])
    place = pa.array([order[name] for name in zip(*(flat[name].to_pylist() for name in entity), strict=True)])
    ordered = sort_rows(rows.append_column("place", place), by="place", ties=ties)
    pq.write_table(ordered.drop_columns("place"), tmp_path / "t.parquet")
    local = job(tmp_path / "local", columns=columns) | {"source": {"path": str(tmp_path / "t.parquet")}}
    expected = read_published(tmp_path / "local", run(parse_job(local)))
    assert published.manifest["series"] == expected.manifest["series"]
    for split in SPLITS:
        assert published.features[split].column_names == expected.features[split].column_names
        keys = (part.features[split].select(["row_number", *entity]).to_pydict() for part in (published, expected))
        assert next(keys) == next(keys)
        np.testing.assert_allclose(published.block(split), expected.block(split), rtol=1e-6, atol=1e-6)
        for stride in (1, 2):
            found, wanted = published.windows[stride][split], expected.windows[stride][split]
            assert found["first_row"].to_pylist() == wanted["first_row"].to_pylist()
            np.testing.assert_allclose(found["pc_1"], wanted["pc_1"], rtol=1e-6, atol=1e-6)


def test_applied_to_the_training_rows(job, published, tmp_path):
    """A state is applied to a copy as well, whose rows are in the same order."""
    applied = job(tmp_path / "applied") | {"state": published.outcome.sink}
    run(parse_job({key: applied[key] for key in ("state", "source", "sink", "runtime")}, model=ApplyJob))
    found = pq.read_table(tmp_path / "applied/features", partitioning=None).sort_by("row_number")
    assert found.equals(pa.concat_tables(published.features.values()).sort_by("row_number").select(found.column_names))


class Ended(LocalEngine):
    """A local engine that ends before a stage."""

    def map(self, stage, ref, chunks):
        if stage.name == "featurize":
            raise KeyboardInterrupt
        return super().map(stage, ref, chunks)


def test_ended_and_run_again_without_the_copy(job, published, connection, tmp_path, copies):
    """A copy that has expired is made again, and its rows are in the same order."""
    again = job(tmp_path / "ended")
    with pytest.raises(KeyboardInterrupt):
        run_job(parse_job(again), Ended(1))
    assert victims.receipts(again)
    planned = open_source(plan_job(parse_job(again)).plan.spec.source)
    with connection.open() as clients:
        for copy in copies():
            clients.jobs.delete_table(copy.reference)
    with pytest.raises(
        TerminalError, match=r"The copy \S+, from which the job reads, has expired .* Run the same command again"
    ):
        planned.describe()
    assert run(parse_job(again)).did_work
    ours, theirs = victims.contents(tmp_path / "ended"), victims.contents(Path(published.outcome.sink))
    assert len(theirs) > 8
    for passing in ("manifest.json", "state/job.json"):  # which tell the moment at which the copy was read
        del ours[passing], theirs[passing]
    assert ours == theirs


def test_killed_and_run_again_on_the_same_copy(job, published, tmp_path, copies, monkeypatch):
    again, before = job(tmp_path / "out", {"where": "x > -100 -- all"}), {copy.table_id for copy in copies()}
    assert victims.run(again, die_at=40) == -9
    assert victims.receipts(again)
    [made] = {copy.table_id for copy in copies()} - before
    statements = recorded(monkeypatch)
    found = read_published(tmp_path / "out", run(parse_job(again)))
    assert found.outcome.did_work
    assert "CREATE" not in [sql.split()[0] for sql in statements]
    assert_published_alike(found, published)
    left = [copy for copy in copies() if copy.table_id not in before]
    assert [copy.table_id for copy in left] == [made]
    assert left[0].expires < dt.datetime.now(dt.UTC) + dt.timedelta(hours=24)
    assert not (tmp_path / "out/.staging").exists()


def test_a_published_result_needs_no_copy(job, published, connection, copies):
    with connection.open() as clients:
        for copy in copies():
            clients.jobs.delete_table(copy.reference)
    again = parse_job(job(published.outcome.sink))
    assert is_published(again)
    assert not run(again).did_work
    assert not copies()


def test_a_copy_is_made_once_and_kept_while_it_is_used(job, tmp_path, copies, monkeypatch):
    statements = recorded(monkeypatch)
    monkeypatch.setattr(bigquery.QueryJob, "total_bytes_processed", 5 * 2**30)
    short = {"where": "x > 0", "temporary_hours": 1}
    seen = parse_job(job(tmp_path / "out", short, runtime={"engine": "local", "chunk_rows": 16}))
    before, lines = len(copies()), dict(plan_report(seen).lines)
    name = lines["copy"].partition(":")[0]
    assert lines["copy"] == f"{name}: 5.00 GiB scanned when the run makes it (about $0.03), about 5.00 GiB stored"
    looked_at, n_copies = plan_job(seen, make=False).plan, len(copies())
    assert n_copies == before, "what is only looked at copies nothing"
    planned = plan_job(seen).plan
    assert looked_at.fingerprint == planned.fingerprint
    assert looked_at.chunks == planned.chunks
    assert len([chunk for chunk in planned.chunks if chunk.ties]) > 10
    assert looked_at.boundaries == planned.boundaries
    lines = dict(plan_report(seen).lines)
    [first] = [copy for copy in copies() if str(copy.reference) == name]
    assert lines["copy"].startswith(f"{name}: 5.00 GiB scanned to make it (about $0.03), ")
    assert f"stored until {first.expires:%Y-%m-%d %H:%M UTC}" in lines["copy"]
    assert first.expires < dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    planned = plan_job(parse_job(job(tmp_path / "out", short | {"temporary_hours": 20}))).plan
    assert planned.table.copy.name == name
    assert planned.table.copy.expires > first.expires + dt.timedelta(hours=18)
    [create] = [sql for sql in statements if sql.startswith("CREATE")]
    # This server takes these partitions for days.
    assert f"PARTITION BY RANGE_BUCKET(`_eh_entity`, GENERATE_ARRAY(0, {2**62}, {2**62 // 16}))\nCLUSTER BY" in create
    for sql in statements:
        sqlglot.parse_one(sql, dialect="bigquery", error_level=sqlglot.ErrorLevel.RAISE)


def test_rows_without_a_time(job, tmp_path):
    timeless = {"table": "sensors.timeless"}
    with pytest.raises(DataError, match="7 rows have no time in 't'"):
        plan_job(parse_job(job(tmp_path / "out", timeless)))
    columns = job(tmp_path)["columns"] | {"null_time": "drop"}
    plan = plan_job(parse_job(job(tmp_path / "out", timeless, columns=columns))).plan
    assert (plan.table.n_rows, plan.n_rows, plan.n_null_times) == (N_ROWS, N_ROWS - 7, 7)
    source = open_source(plan.spec.source)
    assert sum(source.read(chunk, ["t"], time=None)["t"].null_count for chunk in plan.chunks) == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"columns": {"entity": "device", "time": "t", "drop": ["width"]}}, "'width' is not in the table"),
        ({"columns": {"entity": "device", "time": "t"}, "source": {"columns": ["t", "x"]}}, "'device' is not"),
        (
            {"source": {"connection": {"maximum_bytes_billed": 10**9}}},
            r"5,368,709,120 bytes, over the 1,000,000,000",
        ),
    ],
    ids=["column", "entity", "bytes"],
)
def test_what_cannot_be_is_refused_before_anything_is_copied(job, tmp_path, copies, monkeypatch, changes, said):
    before = len(copies())
    monkeypatch.setattr(bigquery.QueryJob, "total_bytes_processed", 5 * 2**30)
    refused = job(tmp_path / "out", {"where": "x < 0"})
    source = changes.get("source", {})
    refused["source"] |= source | {"connection": refused["source"]["connection"] | source.get("connection", {})}
    refused |= {"columns": changes.get("columns", refused["columns"])}
    with pytest.raises(PlanError, match=said):
        plan_job(parse_job(refused))
    assert len(copies()) == before


def test_an_entity_that_is_null_in_all_rows(job, tmp_path):
    with pytest.raises(DataError, match="The entity device is null in every row"):
        plan_job(parse_job(job(tmp_path / "out", {"where": "device IS NULL"})))
