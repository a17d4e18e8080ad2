"""Jobs on BigQuery that cannot be meant, or that nothing is configured for: refused in words, at once."""

from __future__ import annotations

from pathlib import Path

import google.auth
import pyarrow.parquet as pq
import pytest
from google.auth.exceptions import DefaultCredentialsError

from emberharmony.errors import PlanError, TerminalError
from emberharmony.io.bigquery.connection import shared_clients
from emberharmony.report.plan_report import plan_report
from flows import run as run_module
from flows.config.job import Job, load_job, parse_job
from tests.jobs import small_table

ROOT = Path(__file__).parents[2]


def job_data(*, source: dict | None = None, sink: dict | None = None) -> dict:
    return {
        "source": {"type": "bigquery", "table": "my-project.flights.raw"} | (source or {}),
        "sink": {"type": "bigquery", "dataset": "features", "path": "out"} | (sink or {}),
    }


def test_the_example_as_it_is_says_what_to_replace():
    with pytest.raises(PlanError, match=r"bigquery\.yaml: source\.connection: `project`: 'PROJECT' is not the id"):
        load_job(ROOT / "configs" / "bigquery.yaml")


WRONG_SOURCES = [
    ({"table": "sales"}, r"source: .*'sales' does not name a table"),
    ({"table": "PROJECT.DATASET.TABLE"}, "source: .*'PROJECT' is not the id"),
    ({"table": "my-project.flights.raw_*"}, "give a `query`"),
    ({"table": ""}, "does not name a table"),
    ({"table": None, "query": " "}, "`query` is empty"),
    ({"temporary_dataset": "a-b.c.d"}, "'a-b.c' is not the id"),
    ({"temporary_dataset": "my data"}, "'my data' is not a BigQuery dataset"),
    ({"connection": {"project": "p"}}, r"source\.connection: `project`: 'p' is not the id"),
    ({"connection": {"location": "europe_west4"}}, r"source\.connection: `location`: 'europe_west4' is not a location"),
]


@pytest.mark.parametrize(("settings", "said"), WRONG_SOURCES, ids=str)
def test_sources_that_cannot_be_meant(settings, said):
    with pytest.raises(PlanError, match=said):
        parse_job(job_data(source=settings))


WRONG_SINKS = [
    ({"dataset": "a b"}, "sink: .*'a b' is not a BigQuery dataset"),
    ({"dataset": ""}, "is not a BigQuery dataset"),
    ({"prefix": "x.y."}, "is not the id"),
    ({"prefix": "x*"}, "is not a BigQuery table"),
    ({"staging_dataset": "x-y"}, "'x-y' is not a BigQuery dataset"),
    ({"staging": "gs://"}, "gs://bucket/folder"),
    ({"staging": "gs://My Bucket/x"}, "gs://bucket/folder"),
    ({"staging": "s3://bucket/x"}, "gs://bucket/folder"),
]


@pytest.mark.parametrize(("settings", "said"), WRONG_SINKS, ids=str)
def test_sinks_that_cannot_be_meant(settings, said):
    with pytest.raises(PlanError, match=said):
        parse_job(job_data(sink=settings))


@pytest.fixture
def job(monkeypatch, tmp_path) -> Job:
    """A job where no credentials are."""

    def default(**_):
        raise DefaultCredentialsError("none")

    monkeypatch.setattr(google.auth, "default", default)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    shared_clients.cache_clear()
    yield parse_job(job_data(sink={"path": str(tmp_path / "out")}) | {"columns": {"time": "t"}})
    shared_clients.cache_clear()


def test_a_plan_without_credentials_says_how_to_get_them(job):
    with pytest.raises(TerminalError, match="gcloud auth application-default login"):
        plan_report(job)


def test_a_plan_looks_at_the_sink(job, tmp_path):
    pq.write_table(small_table(50), tmp_path / "rows.parquet")
    whole = job.model_dump() | {"source": {"path": str(tmp_path / "rows.parquet")}}
    with pytest.raises(TerminalError, match="gcloud auth application-default login"):
        plan_report(parse_job(whole))


def test_a_run_without_credentials_starts_no_server(job, monkeypatch):
    monkeypatch.setattr(run_module, "server_if_needed", lambda *_, **__: pytest.fail("a server was started"))
    with pytest.raises(TerminalError, match="gcloud auth application-default login"):
        run_module.run(job)
