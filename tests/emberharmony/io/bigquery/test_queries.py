"""Statements run with labels, parameters and bounds, and once where they have an id; a client stands for BigQuery's."""

from __future__ import annotations

from types import SimpleNamespace

import pyarrow as pa
import pytest
from google.api_core import exceptions as api

from emberharmony.errors import TerminalError, TransientError
from emberharmony.io.bigquery.connection import BigQueryConnection
from emberharmony.io.bigquery.failures import RetrySpec
from emberharmony.io.bigquery.queries import find_job, query_row, query_table, run_query


class Job:
    """Stands for a job."""

    job_type = "query"

    def __init__(self, answer=(), error=None):
        self._answer, self._error = list(answer), error

    def result(self, retry, job_retry=None, max_results=None):
        if self._error:
            raise self._error
        table = pa.Table.from_pylist(self._answer)
        return SimpleNamespace(total_rows=len(self._answer), to_arrow=lambda create_bqstorage_client: table)


class Service:
    """Stands for the REST client: jobs by their ids, and answers in turn."""

    def __init__(self, *answers, **connection):
        self.answers, self.jobs_by_id, self.asked, self.slept = list(answers), {}, [], []
        settings = {"project": "my-project", "location": "EU", "retry": RetrySpec(attempts=3, first_wait_s=1.0)} | connection
        self.connection = BigQueryConnection(**settings)
        self.clients = SimpleNamespace(
            jobs=self, connection=self.connection, retry=self.connection.retry, sleep=self.slept.append
        )

    def query(self, sql, job_config, job_id, location, retry, job_retry):
        assert job_retry is None  # Google's would start statements under other ids
        self.asked.append((sql, job_config))
        if job_id in self.jobs_by_id:
            raise api.Conflict("already exists")
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if job_id:
            self.jobs_by_id[job_id] = answer
        return answer

    def query_and_wait(self, sql, job_config, retry, job_retry):
        return self.query(sql, job_config, None, None, retry, job_retry).result(retry)

    def get_job(self, job_id, location, retry):
        assert location == "EU"
        if job_id not in self.jobs_by_id:
            raise api.NotFound("no job")
        return self.jobs_by_id[job_id]


def test_a_statement_has_labels_parameters_and_a_bound():
    service = Service(Job(), Job(), labels={"team": "air"}, maximum_bytes_billed=10**9)
    run_query(service.clients, "SELECT @a", doing="Asking", parameters={"a": 5, "b": "x", "c": [1, 2]})
    ((sql, config),) = service.asked
    found = {
        p.name: (getattr(p, "type_", None) or p.array_type, getattr(p, "value", None) or p.values)
        for p in config.query_parameters
    }
    assert (sql, found) == ("SELECT @a", {"a": ("INT64", 5), "b": ("STRING", "x"), "c": ("INT64", [1, 2])})
    assert (config.labels, config.maximum_bytes_billed, config.dry_run) == ({"team": "air"}, 10**9, False)
    run_query(service.clients, "SELECT 1", doing="Asking", dry_run=True)
    assert service.asked[1][1].dry_run
    assert service.asked[1][1].maximum_bytes_billed is None  # it costs nothing


def test_a_statement_with_an_id_runs_once():
    service = Service(Job([{"n": 1}]), Job([{"n": 2}]))
    first, again = (run_query(service.clients, "INSERT", doing="Inserting", job_id="eh-1") for _ in range(2))
    assert first is again
    assert find_job(service.clients, "eh-1", doing="Looking") is first
    assert find_job(service.clients, "eh-2", doing="Looking") is None


def test_failures_that_pass_are_retried():
    service = Service(api.ServiceUnavailable("x"), Job(error=api.ServiceUnavailable("x")), Job([{"n": 1}]))
    assert query_row(service.clients, "SELECT 1 AS n", doing="Asking") == {"n": 1}
    assert len(service.slept) == 2
    service = Service(*[api.ServiceUnavailable("x")] * 9)
    with pytest.raises(TransientError, match="Asking failed for the moment"):
        run_query(service.clients, "SELECT 1", doing="Asking")
    assert len(service.asked) == 3


def test_a_wrong_statement_is_not_repeated():
    service = Service(api.BadRequest("Syntax error at [1:2]"))
    with pytest.raises(TerminalError, match=r"Asking is not a valid request.*\[1:2\]"):
        run_query(service.clients, "SELEC", doing="Asking")
    assert service.slept == []


@pytest.mark.parametrize("rows", [[], [{"n": 1}, {"n": 2}]], ids=len)
def test_one_row_is_one_row(rows):
    with pytest.raises(TerminalError, match=f"one row was expected, {len(rows)} came"):
        query_row(Service(Job(rows)).clients, "SELECT n", doing="Asking")


def test_small_results_are_tables():
    rows = [{"n": i, "s": str(i)} for i in range(5)]
    assert query_table(Service(Job(rows)).clients, "SELECT *", doing="Asking").to_pylist() == rows
