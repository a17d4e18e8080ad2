"""Rows into a staging table by load jobs, each of which runs once, whatever dies in between."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from emberharmony.errors import PlanError, TransientError
from emberharmony.io.bigquery.connection import Clients, library
from emberharmony.io.bigquery.identifiers import TableName
from emberharmony.io.bigquery.queries import find_job, once, rest_retry
from emberharmony.io.sinks.bigquery.tables import OutputTable, Part, grouped, write_parquet

_LOGGER = logging.getLogger(__name__)
_UPLOAD_BYTES: Final = 256 * 2**20
_MAX_JOBS: Final = 1_000  # BigQuery allows 1,500 load jobs for a table in a day
_MAX_URIS: Final = 10_000
_MAX_ATTEMPTS: Final = 50
_UPLOADS: Final = threading.Semaphore(2)  # of all tables: each has a part in memory, and its file on this machine's disk


def load_by_upload(
    clients: Clients,
    table: OutputTable,
    into: TableName,
    *,
    key: str,
    location: str | None = None,
    upload_bytes: int = _UPLOAD_BYTES,
) -> None:
    """Load a table's parts from this machine's disk, some hundred megabytes a job."""
    groups = list(grouped(table.parts, max_bytes=upload_bytes))
    if len(groups) > _MAX_JOBS:
        raise PlanError(
            f"Table {table.name!r} would take {len(groups):,} load jobs, over the {_MAX_JOBS:,} that are safe in a day. Set "
            f"`sink.staging` to a gs:// address: from there one job loads it all."
        )

    def load(number: int, parts: list[Part]) -> None:
        def begin(job_id: str) -> Any:
            with _UPLOADS, tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "rows.parquet"
                write_parquet(table, parts, path)
                with path.open("rb") as file:
                    return clients.jobs.load_table_from_file(
                        file,
                        str(into),
                        size=path.stat().st_size,
                        job_id=job_id,
                        location=location,
                        job_config=_config(clients, table),
                        num_retries=clients.retry.attempts,
                    )

        doing = f"Loading part {number} of table {table.name!r}"
        run_once(clients, f"{key}-{number:05}", begin, doing=doing, location=location)

    with ThreadPoolExecutor(2, thread_name_prefix="bigquery-load") as pool:
        for future in [pool.submit(load, number, parts) for number, parts in enumerate(groups)]:
            future.result()


def load_by_bucket(
    clients: Clients, table: OutputTable, into: TableName, *, key: str, location: str | None = None, max_uris: int = _MAX_URIS
) -> None:
    """Load a table's parts from where the workers have written them in Cloud Storage, up to 10,000 files a job."""
    uris = [part.address for part in table.parts]
    for number, first in enumerate(range(0, len(uris), max_uris)):
        group = uris[first : first + max_uris]

        def begin(job_id: str, group: list[str] = group) -> Any:
            config, retry = _config(clients, table), rest_retry(clients)
            return clients.jobs.load_table_from_uri(
                group, str(into), job_id=job_id, location=location, job_config=config, retry=retry
            )

        doing = f"Loading {len(group):,} files of table {table.name!r}, such as {group[0]}"
        run_once(clients, f"{key}-{number:05}", begin, doing=doing, location=location)


def run_once(
    clients: Clients,
    key: str,
    begin: Callable[[str], Any],
    *,
    doing: str,
    location: str | None = None,
    first: int = 0,
) -> Any:
    """Run the job that `begin` begins under an id made of `key`, unless a run of it has succeeded; returns that.

    The id carries the number of the attempt, counted from `first`. A job that exists is waited for rather than begun again;
    only after one has failed is there a next, and only where the failure may pass is that one begun at once.
    """
    failures = 0
    for attempt in range(first, first + _MAX_ATTEMPTS):
        job_id = f"{key}-{attempt}"
        earlier = find_job(clients, job_id, doing=doing, location=location)
        if earlier is not None and earlier.state == "DONE" and earlier.error_result:
            continue
        try:
            return once(clients, job_id, lambda job_id=job_id: begin(job_id), doing=doing, location=location)
        except TransientError as error:
            failures += 1
            if failures >= clients.retry.attempts:
                raise
            _LOGGER.warning("%s failed and is tried again: %s", doing, error)
            clients.sleep(clients.retry.wait_s(failures))
    raise TransientError(f"{doing} has failed {_MAX_ATTEMPTS} times. Look at the jobs {key}-* in the project's history.")


def _config(clients: Clients, table: OutputTable) -> Any:
    bigquery = library("google.cloud.bigquery")
    return bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.PARQUET,
        # Without BIGNUMERIC among them, wide decimals are refused, although the table declares it.
        decimal_target_types=["NUMERIC", "BIGNUMERIC"],
        write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
        create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
        schema=table.fields(),
        labels=dict(clients.connection.labels),
    )
