"""Where a run's tables lie, and what becomes of them when they were removed by hand or cannot be."""

from __future__ import annotations

import dataclasses
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from google.cloud import bigquery

from emberharmony.errors import DataError, PlanError, TerminalError
from emberharmony.io.sinks.bigquery.publication import Publication
from emberharmony.io.sinks.bigquery.tables import OutputTable
from flows.config.job import Job, parse_job
from flows.run import run
from tests.integration.bigquery_tables import HttpFaults, Published, expected, make_run, make_table, open_with
from tests.jobs import small_table, write_table

pytestmark = pytest.mark.xdist_group("bigquery-sink")


class Regional(HttpFaults):
    """The jobs of one region, as BigQuery keeps them: found by who says where they ran, and by nobody else."""

    def __init__(self, region: str):
        super().__init__()
        self.region = region
        self.lookups: list[str | None] = []

    def send(self, request, **settings):
        address = urlsplit(request.url)
        if request.method == "GET" and "/jobs/emberharmony-" in address.path:
            said = parse_qs(address.query).get("location", [None])[0]
            self.lookups.append(said)
            if said != self.region:
                answer = requests.Response()
                answer.status_code, answer.request, answer.url, answer._content = 404, request, request.url, b"{}"
                return answer
        return super().send(request, **settings)


def test_a_run_goes_on_outside_of_the_us(spec, table, connection, dataset, monkeypatch):
    """Without a `location` the dataset's own is asked for, and jobs are begun and looked up there."""
    far, http = bigquery.Dataset(f"{connection.project}.{dataset}_far"), Regional("europe-west3")
    far.location = http.region
    with connection.open() as clients:
        clients.jobs.create_dataset(far)
    nowhere = dataclasses.replace(connection, location=None)
    spec = dataclasses.replace(spec, dataset=far.dataset_id, connection=nowhere, write_disposition="append")
    describe = Publication._describe

    def dies(self, *arguments):
        raise KeyboardInterrupt

    with open_with(spec, http) as clients:
        monkeypatch.setattr(Publication, "_describe", dies)
        with pytest.raises(KeyboardInterrupt):
            Publication(spec, clients).publish([table], make_run(table))
        monkeypatch.setattr(Publication, "_describe", describe)
        Publication(spec, clients).publish([table], make_run(table))
    assert Published(connection, far.dataset_id).rows() == expected(table)
    begun = [body["jobReference"] for _, _, body in http.seen if set(body.get("configuration", ())) & {"load", "copy"}]
    assert [job["location"] for job in begun] == [http.region] * 3
    assert set(http.lookups) == {http.region}
    assert sum(method == "GET" and path.endswith(far.dataset_id) for method, path, _ in http.seen) == 2  # once a run


def test_rows_that_were_removed_by_hand_are_published_anew(spec, tmp_path, published, caplog):
    spec = dataclasses.replace(spec, write_disposition="append")
    first, second = (make_table(tmp_path / str(x), x=x) for x in (1, 2))
    with spec.connection.open() as clients:

        def publish(table, fingerprint):
            Publication(spec, clients).publish([table], make_run(table, fingerprint))

        publish(first, "f1")
        clients.jobs.query_and_wait(f"DELETE FROM `{spec.dataset}.features` WHERE TRUE")
        publish(first, "f1")
        assert published.rows() == expected(first)
        for removed in ("features", "runs"):
            clients.jobs.delete_table(f"{spec.dataset}.{removed}")
        publish(first, "f1")
        publish(first, "f1")
        assert published.rows() == expected(first)
        assert len(published.rows("runs")) == 1
        assert caplog.text.count("no longer holds the rows") == 2
        clients.jobs.delete_table(f"{spec.dataset}.features")
        publish(second, "f2")
        with pytest.raises(DataError, match="made after this run's rows were published"):
            publish(first, "f1")
        assert published.rows() == expected(second)


def job_of(connection, tmp_path, **sink) -> Job:
    at = {"type": "bigquery", "path": str(tmp_path / "out"), "connection": dataclasses.asdict(connection)}
    return parse_job(
        {
            "source": {"path": str(write_table(small_table(600), tmp_path / "rows.parquet"))},
            "columns": {"time": "t", "target": "y", "drop": ["name"]},
            "windows": {"strides": [1]},
            "sink": {**at, **sink},
            "runtime": {"engine": "local", "backend": "numpy"},
        }
    )


@pytest.mark.parametrize(
    ("sink", "error", "said"),
    [
        ({"dataset": "no_such_dataset"}, TerminalError, r"dataset \S+no_such_dataset: not found"),
        ({"staging": "gs://no-such-bucket/runs"}, TerminalError, "Check that bucket 'no-such-bucket' is there"),
        (
            {"staging_dataset": "asia"},
            PlanError,
            "staging_dataset` asia is in asia-east1, `connection.location` is in US",
        ),
    ],
)
def test_a_place_that_is_not_there_is_found_before_the_work(connection, dataset, tmp_path, sink, error, said):
    asia = bigquery.Dataset(f"{connection.project}.asia")
    asia.location = "asia-east1"
    with connection.open() as clients:
        clients.jobs.create_dataset(asia, exists_ok=True)
    with pytest.raises(error, match=said):
        run(job_of(connection, tmp_path, **{"dataset": dataset, **sink}))
    assert not list((tmp_path / "out" / ".staging").glob("*/*"))


def test_a_job_whose_table_was_removed(connection, dataset, tmp_path):
    """Its folder still holds all of it: that is no reason to say that there is nothing to do."""
    job = job_of(connection, tmp_path, dataset=dataset, write_disposition="append")
    run(job)
    assert not run(job).did_work
    with connection.open() as clients:
        clients.jobs.delete_table(f"{dataset}.features")
        with pytest.raises(PlanError, match=rf"are gone: \S+\.{dataset}\.features\. Publish it again with --overwrite"):
            run(job)
        run(job, overwrite=True)
        counts = {name: clients.jobs.get_table(f"{dataset}.{name}").num_rows for name in ("features", "windows_stride_1")}
    assert counts == {"features": 600, "windows_stride_1": 600 - 3 * 4}
    assert not run(job).did_work


def test_a_staging_table_that_may_not_be_removed(spec, table, published, caplog, monkeypatch):
    """What is published stays published, and the rest is said; rows that were staged wrong are not called removed."""
    http = HttpFaults()
    http.broken["DELETE", "_features_0"] = [403, 403]
    with open_with(spec, http) as clients:
        Publication(spec, clients).publish([table], make_run(table))
        assert published.rows() == expected(table)
        assert "stays until it expires" in caplog.text
        assert "bigquery.tables.delete is missing" in caplog.text
        monkeypatch.setattr(OutputTable, "check_parts", lambda self: None)
        wrong = dataclasses.replace(table, rows={**table.rows, "train": 299})
        with pytest.raises(TerminalError, match=r"Removing .*_features_0 was refused"):
            Publication(spec, clients).publish([wrong], make_run(table, "f2"))
