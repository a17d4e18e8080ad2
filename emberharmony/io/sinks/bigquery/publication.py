"""A run's tables in BigQuery: staged, counted, and only then published, each by one step that runs once."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from typing import Any, Final, NamedTuple, TypeVar

from emberharmony.errors import DataError, EmberharmonyError, PlanError
from emberharmony.io.bigquery.connection import Clients, library
from emberharmony.io.bigquery.failures import google_errors, raise_explained
from emberharmony.io.bigquery.identifiers import TableName, quote
from emberharmony.io.bigquery.metadata import add_columns, create, dataset_location, exists, find, remove
from emberharmony.io.bigquery.queries import find_job, query_row, query_table, rest_retry, run_query, table_of
from emberharmony.io.sinks.bigquery.append import append_rows
from emberharmony.io.sinks.bigquery.bucket import remove_all
from emberharmony.io.sinks.bigquery.load import load_by_bucket, load_by_upload, run_once
from emberharmony.io.sinks.bigquery.runs import PublishedRun, line_of, runs_table
from emberharmony.io.sinks.bigquery.spec import BigQuerySinkSpec
from emberharmony.io.sinks.bigquery.tables import SLICE, SPLIT, OutputTable, bigquery_table
from emberharmony.io.sinks.bigquery.target import check_fit, granularity_of
from emberharmony.planning.partitions import Granularity
from emberharmony.threads import in_parallel

R = TypeVar("R")

_LOGGER = logging.getLogger(__name__)
_STAGING_DAYS: Final = 3
_MAX_PARTITIONS: Final = 4_000  # that one job may touch
_MAX_GENERATIONS: Final = 100
_TABLES_AT_ONCE: Final = 5  # each with up to two of the ten connections that are kept open


class _Success(NamedTuple):
    """A job that ran under an id of several attempts."""

    attempts: int  # up to it
    ended: dt.datetime


class Publication:
    """Publishes the tables of one run. Every step may be repeated."""

    def __init__(self, spec: BigQuerySinkSpec, clients: Clients) -> None:
        self._spec = spec
        self._clients = clients
        self._granularities: dict[str, Granularity | None] = {}
        self._appending = threading.Lock()  # one table at a time: each stream has rows in memory

    def publish(self, tables: Sequence[OutputTable], run: PublishedRun, *, nonce: str = "", files: str | None = None) -> None:
        """Stage every table, compare the rows with the manifest's, then publish each, and add the run's line to `runs`.

        Parameters
        ----------
        tables : sequence of OutputTable
            All tables of the run.
        run : PublishedRun
            Its line in `runs`.
        nonce : str
            Differs for a run that is published again; a run that was interrupted continues with the same.
        files : str, optional
            Address below which the run's files lie in Cloud Storage, to remove them when all is published.

        Raises
        ------
        DataError
            If row counts differ, or the disposition does not allow to write; nothing was published then.
        """
        key = self._key(run.fingerprint, nonce)
        attempts = _of_each(lambda table: self._next_attempt(table, key), tables)
        todo = [table for table in tables if attempts[table.name] is not None]
        _of_each(self._check, todo)
        staged = _of_each(lambda table: self._stage_counted(table, key), todo)
        _of_each(lambda table: self._publish(table, staged[table.name], key, attempts[table.name] or 0), todo)
        self._tell(tables, run, key)
        self._tidy(staged.values(), files)

    def _check(self, table: OutputTable) -> None:
        table.check_parts()
        self._check_target(table)

    def _stage_counted(self, table: OutputTable, key: str) -> TableName:
        staged = self._stage(table, key)
        self._count(table, staged)
        return staged

    def _tidy(self, staged: Iterable[TableName], files: str | None) -> None:
        """Remove the staged tables and files; those that cannot be removed are logged and do no harm."""
        steps: list[tuple[str, Callable[[], object]]] = [
            (f"the staging table {name} stays until it expires", partial(remove, self._clients, name)) for name in staged
        ]
        if files is not None:
            steps.append((f"files stay at {files}*", partial(remove_all, self._clients, files)))

        errors = in_parallel(_error_of, [step for _, step in steps], _TABLES_AT_ONCE)
        for (stays, _), error in zip(steps, errors, strict=True):
            if error is not None:
                _LOGGER.warning("All is published, but %s: %s", stays, error)

    @cached_property
    def _location(self) -> str:
        """Where jobs are begun and looked up: outside of the US and the EU, none is found without it."""
        return self._clients.connection.location or dataset_location(self._clients, self.target("runs"))

    def target(self, table: str) -> TableName:
        """Return the full name of one of the run's tables."""
        name = f"{self._spec.dataset}.{self._spec.prefix}{table}"
        return TableName.parse(name, project=self._clients.project)

    def _key(self, fingerprint: str, nonce: str) -> str:
        spec = self._spec
        what = [fingerprint, str(self.target("features")), spec.disposition, nonce]
        return f"emberharmony-{hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]}"

    # ---- staging -----------------------------------------------------------------------------------------------------

    def _stage(self, table: OutputTable, key: str) -> TableName:
        """Return a staging table that holds all rows of `table`, and fill it if it does not."""
        for generation in range(_MAX_GENERATIONS):
            into = self._staging_table(table, key, generation)
            loading = f"{key}-{table.name}-load-{generation}"
            if not exists(self._clients, into):
                # A generation whose jobs ran, but whose table is gone, is spent: its jobs will not run again.
                if self._job(f"{loading}-00000-0") is not None:
                    continue
                self._create_staging(table, into)
            self._fill(table, into, loading)
            return into
        raise DataError(f"Table {table.name!r} has been staged {_MAX_GENERATIONS} times and was never published.")

    def _fill(self, table: OutputTable, into: TableName, loading: str) -> None:
        clients, spec = self._clients, self._spec
        if not table.n_rows:
            return
        if spec.method == "storage_write":
            # One commit covers all rows: there are all of them or none.
            if not self._rows_of(into):
                with self._appending:
                    append_rows(clients, table, into, streams=spec.streams)
        elif spec.load_files is not None:
            load_by_bucket(clients, table, into, key=loading, location=self._location)
        else:
            load_by_upload(clients, table, into, key=loading, location=self._location)

    def _staging_table(self, table: OutputTable, key: str, generation: int) -> TableName:
        dataset = self._spec.staging_dataset or self._spec.dataset
        name = f"{dataset}.{key.replace('-', '_')}_{table.name}_{generation}"
        return TableName.parse(name, project=self._clients.project)

    def _create_staging(self, table: OutputTable, into: TableName) -> None:
        made = bigquery_table(str(into), table, self._granularity(table), self._labels())
        made.expires = dt.datetime.now(dt.UTC) + dt.timedelta(days=_STAGING_DAYS)
        create(self._clients, made)

    def _rows_of(self, name: TableName, where: str = "TRUE") -> int:
        sql = f"SELECT COUNT(*) AS n FROM {name.sql} WHERE {where}"
        return int(query_row(self._clients, sql, doing=f"Counting the rows of {name}")["n"])

    def _count(self, table: OutputTable, staged: TableName) -> None:
        found = query_table(
            self._clients,
            f"SELECT {quote(SPLIT)} AS name, COUNT(*) AS n FROM {staged.sql} GROUP BY {quote(SPLIT)}",
            doing=f"Counting the rows of {staged}",
        ).to_pylist()
        counts = dict.fromkeys(table.rows, 0) | {row["name"]: int(row["n"]) for row in found}
        if counts != dict(table.rows):
            remove(self._clients, staged)
            raise DataError(
                f"Table {table.name!r} was staged with {counts} rows, the manifest says {dict(table.rows)}; nothing was "
                f"published, and the staged rows were removed. Run the same command again to stage them again."
            )

    # ---- publishing --------------------------------------------------------------------------------------------------

    def _next_attempt(self, table: OutputTable, key: str) -> int | None:
        """Return the attempt to publish with; ``None`` if one has succeeded, and its rows are still there."""
        target = self.target(table.name)
        earlier = self._succeeded(f"{key}-{table.name}-publish")
        if earlier is None:
            return 0
        if table.n_rows and not self._holds_rows(target, table.slice):
            _LOGGER.warning("%s no longer holds the rows that this run published to it; they are published again.", target)
            return earlier.attempts
        adds = self._spec.write_disposition in ("append", "fail")
        if adds and table_of(self._clients, target).created > earlier.ended:
            raise DataError(
                f"{target} was made after this run's rows were published to a table of that name, so it is unknown whether "
                f"it holds them. Remove it to publish them again, or set `sink.prefix`, or `sink.write_disposition: replace`."
            )
        level = logging.WARNING if adds else logging.INFO  # otherwise a run that starts over has another key
        _LOGGER.log(level, "This run's rows were published to %s before, and are not published twice.", target)
        return None

    def _holds_rows(self, target: TableName, slice_name: str | None = None) -> bool:
        where = "TRUE" if slice_name is None else _of_slice(slice_name)
        return exists(self._clients, target) and self._rows_of(target, where) > 0

    def _check_target(self, table: OutputTable) -> None:
        """Refuse, before anything is sent, what publishing would be refused for."""
        target = self.target(table.name)
        there = find(self._clients, target)
        self._granularities[table.name] = granularity = self._granularity_like(there, table)
        if there is not None:
            check_fit(target, there, table, self._spec.disposition, granularity)

    def _publish(self, table: OutputTable, staged: TableName, key: str, attempt: int) -> None:
        target = self.target(table.name)
        doing = f"Publishing {target}"
        create(self._clients, bigquery_table(str(target), table, self._granularity(table), self._labels()))
        disposition = self._spec.disposition
        if disposition != "replace":  # which replaces the columns, too
            add_columns(self._clients, target, table.own_fields())
        if disposition == "replace_partitions" and not table.n_rows:
            _LOGGER.warning("%s: this run has no rows, and so replaces none: those of an earlier run stay.", target)
            return
        job_key = f"{key}-{table.name}-publish"
        if disposition in ("replace_partitions", "replace_slice"):
            replaced = self._partitions(table, staged) if table.slice is None else _of_slice(table.slice, "target.")
            sql = merge_sql(table.names, staged, target, replaced=replaced)

            def begin(job_id: str) -> Any:
                return run_query(self._clients, sql, doing=doing, job_id=job_id, location=self._location)
        else:

            def begin(job_id: str) -> Any:
                return self._copy(staged, target, job_id)

        self._run_once(job_key, begin, doing=doing, first=attempt)
        self._describe(table, target)

    def _copy(self, staged: TableName, target: TableName, job_id: str) -> Any:
        """Copy: atomic, free, and it keeps the staging table's partitions."""
        bigquery = library("google.cloud.bigquery")
        write = {"replace": "WRITE_TRUNCATE", "append": "WRITE_APPEND", "fail": "WRITE_EMPTY"}
        config = bigquery.CopyJobConfig(
            write_disposition=write[self._spec.write_disposition], labels=dict(self._clients.connection.labels)
        )
        return self._clients.jobs.copy_table(
            str(staged),
            str(target),
            job_id=job_id,
            location=self._location,
            job_config=config,
            retry=rest_retry(self._clients),
        )

    def _partitions(self, table: OutputTable, staged: TableName) -> str:
        """Return the SQL condition for rows of the target in the partitions in which this run has rows."""
        granularity = self._granularity(table)
        if table.time is None or granularity is None:
            raise PlanError(f"Table {table.name!r} has no time to be partitioned by; `replace_partitions` needs one.")
        column = quote(table.column(table.time))
        kind = next(f.field_type for f in table.fields() if f.name == table.column(table.time))
        start = f"{kind}_TRUNC({column}, {granularity})"
        days = query_table(
            self._clients,
            f"SELECT DISTINCT CAST({start} AS STRING) AS start FROM {staged.sql} WHERE {column} IS NOT NULL ORDER BY start",
            doing=f"Looking up the partitions of {staged}",
        )["start"].to_pylist()
        if len(days) > _MAX_PARTITIONS:
            raise PlanError(
                f"Table {table.name!r} has rows in {len(days):,} partitions, over the {_MAX_PARTITIONS:,} that one job may "
                f"replace. Set `sink.partition_by: month`, or publish shorter slices."
            )
        # The literals come from BigQuery itself, as the text of its own times.
        starts = ", ".join(f"{kind} '{day}'" for day in days)
        return f"{kind}_TRUNC(target.{column}, {granularity}) IN ({starts})"

    def _describe(self, table: OutputTable, target: TableName) -> None:
        """Say what table and columns are; the columns themselves stay as they are there."""
        there = table_of(self._clients, target)
        texts = {column.name: column.description for column in table.fields() if column.description}
        field = library("google.cloud.bigquery").SchemaField.from_api_repr
        there.schema = [
            field({**column.to_api_repr(), "description": texts.get(column.name, column.description or "")})
            for column in there.schema
        ]
        there.labels = {**there.labels, **self._labels()}
        there.description = table.description or there.description
        try:
            self._clients.jobs.update_table(there, ["schema", "labels", "description"], retry=rest_retry(self._clients))
        except google_errors() as error:
            raise_explained(error, doing=f"Describing {target}", permission="bigquery.tables.update")

    def _tell(self, tables: Sequence[OutputTable], run: PublishedRun, key: str) -> None:
        """Add the run's line to `runs`, once."""
        target = self.target("runs")
        doing = f"Adding the run to {target}"
        earlier = self._succeeded(f"{key}-runs")
        if earlier is not None and self._holds_rows(target):
            return
        made = runs_table(target, self._labels())
        create(self._clients, made)
        line = line_of(run, [self.target(table.name) for table in tables], self._spec.disposition)

        def begin(job_id: str) -> Any:
            labels = dict(self._clients.connection.labels)
            config = library("google.cloud.bigquery").LoadJobConfig(
                schema=made.schema,
                write_disposition="WRITE_APPEND",
                schema_update_options=["ALLOW_FIELD_ADDITION"],  # to a table that an earlier version has made
                labels=labels,
            )
            return self._clients.jobs.load_table_from_json(
                [line], str(target), job_id=job_id, location=self._location, job_config=config
            )

        self._run_once(f"{key}-runs", begin, doing=doing, first=earlier.attempts if earlier else 0)

    # ---- jobs --------------------------------------------------------------------------------------------------------

    def _job(self, job_id: str) -> Any | None:
        return find_job(self._clients, job_id, doing=f"Looking up job {job_id}", location=self._location)

    def _succeeded(self, key: str) -> _Success | None:
        """Return the last attempt at a job that succeeded, if any did."""
        found, attempts = None, 0
        while (job := self._job(f"{key}-{attempts}")) is not None:
            attempts += 1
            if job.state == "DONE" and not job.error_result:
                found = _Success(attempts, job.ended)
        return found

    def _run_once(self, key: str, begin: Callable[[str], Any], *, doing: str, first: int) -> None:
        run_once(self._clients, key, begin, doing=doing, location=self._location, first=first)

    # ---- small things ------------------------------------------------------------------------------------------------

    def _granularity(self, table: OutputTable) -> Granularity | None:
        """Return what a table is to be partitioned by; its target is looked up unless that was checked before."""
        if table.name not in self._granularities:
            self._granularities[table.name] = self._granularity_like(find(self._clients, self.target(table.name)), table)
        return self._granularities[table.name]

    def _granularity_like(self, there: Any | None, table: OutputTable) -> Granularity | None:
        """Return what a table is to be partitioned by: by default as `there`, its target, if that exists."""
        wanted = self._spec.partition_by
        if wanted == "none" or table.time is None:
            return None
        if wanted == "auto":
            return (granularity_of(there) if there else None) or table.finest_granularity(_MAX_PARTITIONS)
        names: dict[str, Granularity] = {"hour": "HOUR", "day": "DAY", "month": "MONTH", "year": "YEAR"}
        return names[wanted]

    def _labels(self) -> dict[str, str]:
        return {**self._clients.connection.labels, **self._spec.labels}


def merge_sql(columns: Sequence[str], staged: TableName, target: TableName, *, replaced: str) -> str:
    """Return the statement that puts all staged rows in place of the target's that meet the condition `replaced`."""
    names = ", ".join(quote(name) for name in columns)
    return (
        f"MERGE INTO {target.sql} AS target\nUSING {staged.sql} AS staged\nON FALSE\n"
        f"WHEN NOT MATCHED BY SOURCE AND {replaced} THEN DELETE\n"
        f"WHEN NOT MATCHED BY TARGET THEN INSERT ({names}) VALUES ({names})"
    )


def _of_each(step: Callable[[OutputTable], R], tables: Sequence[OutputTable]) -> dict[str, R]:
    """Take a step for several tables at a time, since it mostly waits for BigQuery; return the results by the tables' names.

    If it fails for some, the first one's error is raised, once the steps that have begun are over.
    """
    results = in_parallel(step, tables, min(len(tables), _TABLES_AT_ONCE))
    return {table.name: result for table, result in zip(tables, results, strict=True)}


def _error_of(step: Callable[[], object]) -> EmberharmonyError | None:
    try:
        step()
    except EmberharmonyError as error:
        return error
    return None


def _of_slice(name: str, table: str = "") -> str:
    """The SQL condition for rows of a slice; names of slices are made of digits, `-` and `T`."""
    return f"{table}{quote(SLICE)} = '{name}'"
