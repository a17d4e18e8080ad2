"""Rows that nothing orders, without time and key: the same features and splits however they lie, whenever they are read."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.cloud import bigquery

from emberharmony.errors import PlanError
from emberharmony.io.bigquery import TableName
from emberharmony.io.bigquery.schema import table_fields
from emberharmony.report.plan_report import plan_report
from flows.config.job import ApplyJob, parse_job
from flows.run import run
from tests.faults import victims
from tests.jobs import SPLITS, assert_published_alike, read_published, run_small, small_table, write_table
from tests.laws.test_reference import NULLABLE
from tests.references import reference_job

pytestmark = pytest.mark.xdist_group("bigquery-job")

COLUMNS = {"target": "y", "passthrough": ["name"]}
RANKED = "SELECT *, RANK() OVER (ORDER BY y) AS y_rank FROM unordered.one"
NAMES = ["walk", "count", "flag", "color", "other", "y", "name"]


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    """Rows of every kind of column, some of them there twice."""
    table = small_table(2_000).select(NAMES)
    return pa.concat_tables([table, table.slice(100, 150)]).combine_chunks()


@pytest.fixture(scope="module")
def job(connection, rows):
    """Makes jobs on one of two tables that hold the same rows in another order."""
    with connection.open() as clients:
        for dataset in ("unordered", "copies"):
            clients.jobs.create_dataset(dataset, exists_ok=True)
        order = np.random.default_rng(4).permutation(rows.num_rows)
        for name, table in {"one": rows, "other": rows.take(pa.array(order))}.items():
            file = io.BytesIO()
            pq.write_table(table, file)
            place = str(TableName(connection.project, "unordered", name))
            clients.jobs.create_table(bigquery.Table(place, table_fields(table.schema, NAMES, {})))
            config = bigquery.LoadJobConfig(source_format="PARQUET")
            clients.jobs.load_table_from_file(file, place, rewind=True, job_config=config).result()

    def made(sink, name="one", *, chunk_rows=300, source=None, **changes):
        table = {"table": f"unordered.{name}", "temporary_dataset": "copies", "where": "walk > -1e9 OR walk IS NULL -- all"}
        return {
            "source": {"type": "bigquery", "connection": dataclasses.asdict(connection)} | table | (source or {}),
            "sink": {"path": str(sink)},
            "columns": COLUMNS,
            "windows": {"strides": []},
            "runtime": {"engine": "local", "workers": 1, "backend": "numpy", "chunk_rows": chunk_rows},
        } | changes

    return made


@pytest.fixture(scope="module")
def published(job, tmp_path_factory):
    sink = tmp_path_factory.mktemp("unordered") / "one"
    return read_published(sink, run(parse_job(job(sink))))


def in_read_order(rows: pa.Table, published) -> tuple[pa.Table, list[str]]:
    """The source's rows in the order in which the job numbered them, and each one's split."""
    found = [
        (row, split, name)
        for split, part in published.features.items()
        for row, name in zip(part["row_number"].to_pylist(), part["name"].to_pylist(), strict=True)
    ]
    found.sort()
    assert [row for row, _, _ in found] == list(range(rows.num_rows))
    place = {name: i for i, name in enumerate(rows["name"].to_pylist())}
    return rows.take(pa.array([place[name] for _, _, name in found])), [split for _, split, _ in found]


def test_every_row_comes_once_as_pandas_and_sklearn_make_it(rows, published):
    ordered, splits = in_read_order(rows, published)
    assert sorted(ordered["name"].to_pylist()) == sorted(rows["name"].to_pylist())
    frame = ordered.to_pandas(types_mapper=NULLABLE.get)
    reference = reference_job(frame, target="y", passthrough=["name"], split=splits, strides=())
    assert published.feature_names == reference.feature_names
    for split in SPLITS:
        expected = reference.features[split]
        assert published.features[split]["row_number"].to_pylist() == expected["row_number"].tolist()
        np.testing.assert_allclose(published.block(split), expected[reference.feature_names], rtol=2e-6, atol=2e-6)


def test_the_plan_says_how_rows_are_ordered(job, tmp_path):
    lines = dict(plan_report(parse_job(job(tmp_path / "out"))).lines)
    assert (lines["order"], lines["windows"]) == ("none: by a hash of each row's content", "none")
    keyed = dict(plan_report(parse_job(job(tmp_path / "out", source={"key": "y_rank", "query": RANKED, "table": None}))).lines)
    assert keyed["order"] == "by y_rank"


def test_the_result_depends_on_the_rows_alone(job, rows, published, tmp_path):
    """Not on how they lie, nor on the chunks; a file of them in that order gives the same splits."""
    other = read_published(tmp_path / "other", run(parse_job(job(tmp_path / "other", "other", chunk_rows=1_000))))
    assert_published_alike(other, published)
    file = write_table(in_read_order(rows, published)[0], tmp_path / "ordered.parquet")
    from_file = run_small(file, tmp_path / "file", columns=COLUMNS, windows={"strides": []}, split={"method": "random"})
    for split in SPLITS:
        assert from_file.features[split]["row_number"].equals(published.features[split]["row_number"])


def test_a_state_is_applied_to_rows_that_nothing_orders(job, published, tmp_path):
    applied = job(tmp_path / "applied", "other", chunk_rows=700) | {"state": published.outcome.sink}
    run(parse_job({key: applied[key] for key in ("state", "source", "sink", "runtime")}, model=ApplyJob))
    found = pq.read_table(tmp_path / "applied/features", partitioning=None).sort_by("row_number")
    assert found.equals(pa.concat_tables(published.features.values()).sort_by("row_number").select(found.column_names))


def test_killed_and_run_again_without_the_copy(job, published, connection, tmp_path):
    """The copy may have expired in between: made again, it numbers the rows as before."""
    again = job(tmp_path / "killed")
    assert victims.run(again, die_at=40) == -9
    assert victims.receipts(again)
    with connection.open() as clients:
        for copy in list(clients.jobs.list_tables("copies")):
            clients.jobs.delete_table(copy.reference)
    assert run(parse_job(again)).did_work
    ours, theirs = victims.contents(tmp_path / "killed"), victims.contents(Path(published.outcome.sink))
    assert len(theirs) > 8
    for passing in ("manifest.json", "state/job.json"):  # which tell the moment at which the copy was read
        del ours[passing], theirs[passing]
    assert ours == theirs


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"windows": {"strides": [1]}}, r"Windows are runs of rows in an order.*columns\.time.*windows\.strides: \[\]"),
        ({"source": {"temporary_dataset": None}}, r"columns\.time.*source\.key.*source\.temporary_dataset"),
    ],
)
def test_what_needs_an_order_or_a_copy_is_refused(job, tmp_path, changes, said):
    with pytest.raises(PlanError, match=said):
        run(parse_job(job(tmp_path / "out", **changes)))
