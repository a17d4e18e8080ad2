"""Tables out: each row once, whatever dies on the way, in tables laid out as documented."""

from __future__ import annotations

import dataclasses
import json

import pytest

from emberharmony.errors import DataError, TerminalError
from emberharmony.io.sinks.bigquery import publication as sink_module
from emberharmony.io.sinks.bigquery.publication import Publication
from emberharmony.io.sinks.bigquery.tables import OutputTable
from tests.integration.bigquery_tables import (
    HttpFaults,
    expected,
    make_run,
    open_with,
)

pytestmark = pytest.mark.xdist_group("bigquery-sink")


def test_rows_columns_and_layout(by_method, table, published, connection, dataset):
    http = HttpFaults()
    with open_with(by_method, http) as clients:
        Publication(by_method, clients).publish([table], make_run(table))
        there = clients.jobs.get_table(f"{dataset}.features")
        line = next(iter(clients.jobs.query_and_wait(f"SELECT * FROM `{dataset}.runs`")))
    assert published.rows() == expected(table)
    assert published.tables() == ["features", "runs"]
    assert [field.name for field in there.schema] == ["row_number", "t", "carrier_AA", "carrier_aa_2", "split", "run_id"]
    assert (there.time_partitioning.type_, there.time_partitioning.field) == ("DAY", "t")
    assert there.clustering_fields == ["split"]
    assert there.labels == {"suite": "integration", "team": "air"}
    assert there.description == "Rows to learn from"
    assert {field.name: field.description for field in there.schema}["carrier_AA"] == "1 where carrier is AA"
    assert (line["fingerprint"], line["source_rows"], json.loads(line["rows"])) == ("f1", 600, table.rows)
    for job in [*http.jobs("load"), *http.jobs("copy")]:
        assert job["jobReference"]["jobId"].startswith("emberharmony-")
        assert job["configuration"]["labels"] == {"suite": "integration"}


def test_twice_is_once(by_method, table, published):
    by_method = dataclasses.replace(by_method, write_disposition="append")
    with by_method.connection.open() as clients:
        for _ in range(2):
            Publication(by_method, clients).publish([table], make_run(table))
    assert published.rows() == expected(table)
    assert len(published.rows("runs")) == 1


STEPS = ("_stage", "_count", "_publish", "_describe", "_tell")


@pytest.mark.parametrize("by_method", ["upload", "storage_write"], indirect=True)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_death_at_any_step_loses_and_doubles_nothing(by_method, table, published, step, after, monkeypatch):
    """Killed before or after a step, and started again: the same rows, once."""
    by_method = dataclasses.replace(by_method, write_disposition="append")
    real = getattr(Publication, step)

    def dies(self, *arguments):
        if after:
            real(self, *arguments)
        raise KeyboardInterrupt

    with by_method.connection.open() as clients:
        sink = Publication(by_method, clients)
        monkeypatch.setattr(Publication, step, dies)
        with pytest.raises(KeyboardInterrupt):
            sink.publish([table], make_run(table))
        if step in ("_stage", "_count"):
            assert "features" not in published.tables()
        monkeypatch.setattr(Publication, step, real)
        Publication(by_method, clients).publish([table], make_run(table))
    assert published.rows() == expected(table)
    assert len(published.rows("runs")) == 1


@pytest.mark.parametrize("by_method", ["upload", "bucket"], indirect=True)
@pytest.mark.parametrize("statuses", [[503, 0, 500], [-500]], ids=str)
def test_an_answer_of_500_is_asked_again(by_method, table, published, statuses):
    """Also where the job did begin and only its answer was lost: then the id is taken, and that job is waited for."""
    http = HttpFaults()
    http.broken["POST", "/jobs"] = list(statuses)
    http.broken["POST", "/queries"] = [503, 0, 500]
    by_method = dataclasses.replace(by_method, write_disposition="append")
    with open_with(by_method, http) as clients:
        Publication(by_method, clients).publish([table], make_run(table))
    assert published.rows() == expected(table)
    assert len(published.rows("runs")) == 1


def test_a_job_id_that_is_taken_is_waited_for(spec, table, published):
    http = HttpFaults()
    with open_with(spec, http) as clients:
        sink = Publication(spec, clients)
        find = sink_module.find_job
        load = __import__("emberharmony.io.sinks.bigquery.load", fromlist=["find_job"])
        into = sink._stage(table, sink._key("f1", ""))
        before = len(http.jobs("load"))
        try:
            load.find_job = lambda *_, **__: None  # as if another process had begun it just now
            sink._fill(table, into, f"{sink._key('f1', '')}-features-load-0")
        finally:
            load.find_job = find
        assert len(http.jobs("load")) == before + 1  # asked, refused with 409, and found done
        assert sink._rows_of(into) == table.n_rows


def test_a_load_job_that_fails_is_a_new_attempt_later(spec, table, published, monkeypatch):
    http = HttpFaults()
    load = __import__("emberharmony.io.sinks.bigquery.load", fromlist=["write_parquet"])
    write = load.write_parquet
    monkeypatch.setattr(load, "write_parquet", lambda table, parts, path: path.write_bytes(b"PAR1 not PAR1"))
    with open_with(spec, http) as clients:
        with pytest.raises(TerminalError, match="Loading part 0"):
            Publication(spec, clients).publish([table], make_run(table))
        assert published.tables() == [name for name in published.tables() if name.startswith("emberharmony_")]
        monkeypatch.setattr(load, "write_parquet", write)
        Publication(spec, clients).publish([table], make_run(table))
    ids = [job["jobReference"]["jobId"] for job in http.jobs("load") if "-load-" in job["jobReference"]["jobId"]]
    assert [job[-2:] for job in ids] == ["-0", "-1"]
    assert published.rows() == expected(table)


def test_a_staging_table_that_was_lost_is_made_anew(by_method, table, published, monkeypatch):
    with by_method.connection.open() as clients:
        sink = Publication(by_method, clients)
        key = sink._key("f1", "")
        clients.jobs.delete_table(str(sink._stage(table, key)))
        sink.publish([table], make_run(table))
    assert published.rows() == expected(table)


def test_rows_that_do_not_match_the_manifest_are_not_published(by_method, table, published, monkeypatch):
    with by_method.connection.open() as clients:
        sink = Publication(by_method, clients)
        wrong = dataclasses.replace(table, rows={**table.rows, "train": 299})
        with pytest.raises(DataError, match="manifest says"):
            sink.publish([wrong], make_run(table))
        assert published.tables() == []
        monkeypatch.setattr(OutputTable, "check_parts", lambda self: None)
        with pytest.raises(DataError, match="was staged with"):
            sink.publish([wrong], make_run(table))
        assert published.tables() == []
        sink.publish([table], make_run(table))
    assert published.rows() == expected(table)
