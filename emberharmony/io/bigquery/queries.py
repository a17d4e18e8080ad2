"""Runs statements with parameters, labels and a bound on the bytes billed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from emberharmony.errors import TerminalError
from emberharmony.io.bigquery.connection import Clients, library
from emberharmony.io.bigquery.failures import google_errors, raise_explained, retried
from emberharmony.io.bigquery.identifiers import TableName, checked_job_id
from emberharmony.io.bigquery.parameters import Value, typed
from emberharmony.io.bigquery.read import read_rows

if TYPE_CHECKING:
    from google.cloud import bigquery

JOB_PERMISSION: Final = "bigquery.jobs.create"
Parameter = Value | Sequence[Value]
"""Value of a parameter: one, or those of an array."""
_MAX_REST_ROWS: Final = 20_000  # more come faster as Arrow, through the Storage Read API


def rest_retry(clients: Clients) -> Any:
    """Return Google's own retry for one REST call (500, 503, 429, broken connections), bounded by the connection's."""
    return library("google.cloud.bigquery").DEFAULT_RETRY.with_timeout(clients.retry.request_deadline_s)


def run_query(
    clients: Clients,
    sql: str,
    *,
    doing: str,
    parameters: Mapping[str, Parameter] | None = None,
    job_id: str | None = None,
    location: str | None = None,
    dry_run: bool = False,
) -> bigquery.QueryJob:
    """Run a statement and return its finished job.

    With a `job_id`, it runs once: if a job with this id exists, that job is awaited instead. Its location is `location`, or
    the connection's.

    Raises
    ------
    TransientError, TerminalError
        What BigQuery's refusal means, see `failures.explained`.
    """
    config = _config(clients, parameters, dry_run=dry_run)

    def begin() -> Any:
        # Google's `job_retry` has a fixed time limit, and starts statements under other ids.
        return clients.jobs.query(
            sql, job_config=config, job_id=job_id, location=location, retry=rest_retry(clients), job_retry=None
        )

    if job_id is not None:
        job: bigquery.QueryJob = once(clients, job_id, begin, doing=doing, location=location)
    else:
        call = begin if dry_run else lambda: wait(clients, begin())
        job = retried(call, retry=clients.retry, doing=doing, permission=JOB_PERMISSION, sleep=clients.sleep)
    return job


def once(clients: Clients, job_id: str, begin: Any, *, doing: str, location: str | None = None) -> Any:
    """Begin a job of this id, or find the one that an earlier attempt began; return it finished.

    Raises
    ------
    TransientError, TerminalError
        If the job failed, or could not be begun.
    """
    from google.api_core import exceptions as api

    checked_job_id(job_id)
    retry = rest_retry(clients)
    try:
        try:
            job = begin()
        except api.Conflict:
            job = clients.jobs.get_job(job_id, location=location or clients.connection.location, retry=retry)
        return wait(clients, job)
    except google_errors() as error:
        raise_explained(error, doing=doing, permission=JOB_PERMISSION)


def wait(clients: Clients, job: Any) -> Any:
    """Wait for a job to end; what it raises is Google's."""
    if job.job_type == "query":
        job.result(retry=rest_retry(clients), job_retry=None, max_results=0)
    else:
        job.result(retry=rest_retry(clients))
    return job


def find_job(clients: Clients, job_id: str, *, doing: str, location: str | None = None) -> Any | None:
    """Return a job by its id, or ``None`` if there never was one."""
    from google.api_core import exceptions as api

    try:
        return clients.jobs.get_job(job_id, location=location or clients.connection.location, retry=rest_retry(clients))
    except api.NotFound:
        return None
    except google_errors() as error:
        raise_explained(error, doing=doing, permission="bigquery.jobs.get")


def query_table(clients: Clients, sql: str, *, doing: str, parameters: Mapping[str, Parameter] | None = None) -> pa.Table:
    """Run a query and return its rows: small results in the answer itself, large ones through the Storage Read API."""
    config = _config(clients, parameters)

    def ask() -> Any:
        unrepeated: Any = None  # allowed, although the library's types say otherwise
        return clients.jobs.query_and_wait(sql, job_config=config, retry=rest_retry(clients), job_retry=unrepeated)

    rows = retried(ask, retry=clients.retry, doing=doing, permission=JOB_PERMISSION, sleep=clients.sleep)
    try:
        if (rows.total_rows or 0) <= _MAX_REST_ROWS:
            return rows.to_arrow(create_bqstorage_client=False)
        job: Any = clients.jobs.get_job(rows.job_id, location=rows.location, retry=rest_retry(clients))
    except google_errors() as error:
        raise_explained(error, doing=doing, permission=JOB_PERMISSION)
    result = job.destination
    return read_rows(clients, TableName(result.project, result.dataset_id, result.table_id), columns=[])


def query_row(clients: Clients, sql: str, *, doing: str) -> dict[str, Any]:
    """Run a query that has one row for its answer."""
    rows: list[dict[str, Any]] = query_table(clients, sql, doing=doing).to_pylist()
    if len(rows) != 1:
        raise TerminalError(f"{doing}: one row was expected, {len(rows)} came.")
    return rows[0]


def _config(clients: Clients, parameters: Mapping[str, Parameter] | None, *, dry_run: bool = False) -> Any:
    module = library("google.cloud.bigquery")
    connection = clients.connection
    config = module.QueryJobConfig(
        query_parameters=[_parameter(module, name, value) for name, value in (parameters or {}).items()],
        labels=dict(connection.labels),
        dry_run=dry_run,
        use_query_cache=not dry_run,
    )
    if connection.maximum_bytes_billed is not None and not dry_run:
        config.maximum_bytes_billed = connection.maximum_bytes_billed
    return config


def _parameter(module: Any, name: str, value: Parameter) -> Any:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return module.ArrayQueryParameter(name, typed(value[0]).type if value else "STRING", list(value))
    scalar = typed(value)
    return module.ScalarQueryParameter(name, scalar.type, scalar.value)


def table_of(clients: Clients, table: TableName) -> Any:
    """Return a table's metadata: schema, rows, bytes, time of its last change."""
    try:
        return clients.jobs.get_table(str(table), retry=rest_retry(clients))
    except google_errors() as error:
        raise_explained(error, doing=f"Looking up {table}", permission="bigquery.tables.get")
