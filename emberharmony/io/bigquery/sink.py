"""A run's tables in BigQuery: staged, counted, and only then published, each by one step that runs once."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal

from emberharmony.errors import DataError, PlanError
from emberharmony.io.bigquery.append import append_rows
from emberharmony.io.bigquery.connection import BigQueryConnection, Clients, library
from emberharmony.io.bigquery.failures import google_errors, raise_explained
from emberharmony.io.bigquery.identifiers import TableName, checked_labels, quote
from emberharmony.io.bigquery.load import Put, load_by_bucket, load_by_upload, run_once
from emberharmony.io.bigquery.queries import find_job, query_row, query_table, rest_retry, run_query, table_of
from emberharmony.io.bigquery.tables import SPLIT, Granularity, OutputTable, bigquery_table

_LOGGER = logging.getLogger(__name__)
_STAGING_DAYS: Final = 3
_MAX_PARTITIONS: Final = 4_000  # that one job may touch
_MAX_GENERATIONS: Final = 100
Disposition = Literal["replace", "append", "fail", "replace_partitions"]


@dataclass(frozen=True)
class BigQuerySinkSpec:
    """Where a run's tables go: `features`, one `windows_stride_N` for each stride, and `runs`, a line for each run.

    ``replace`` puts this run's rows in place of all others, ``replace_partitions`` in place of those of the same partitions,
    ``append`` beside them, and ``fail`` only where there are none. A run appends its rows once, however often it is started.
    """

    dataset: str
    """Dataset of the published tables."""
    path: str
    """This machine's folder for staging, fitted state and manifest."""
    type: Literal["bigquery"] = "bigquery"
    """The kind of sink."""
    prefix: str = ""
    """What the tables' names begin with."""
    write_disposition: Disposition = "replace"
    """What becomes of rows that were there before."""
    method: Literal["load", "storage_write"] = "load"
    """Load files by a job, or send rows and commit them at once."""
    staging: str | None = None
    """Address in Cloud Storage, `gs://bucket/folder`, for the files to load; without it they are uploaded."""
    staging_dataset: str | None = None
    """Dataset of the staging tables; by default `dataset`."""
    partition_by: Literal["auto", "hour", "day", "month", "year", "none"] = "auto"
    """Partitions by the time column; auto chooses by the time that the rows span."""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Labels on the tables."""
    streams: int = 4
    """Streams of `method: storage_write`."""
    connection: BigQueryConnection = field(default_factory=BigQueryConnection)
    """How to reach BigQuery."""

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "use_attribute_docstrings": True}

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        TableName.parse(f"{self.dataset}.{self.prefix}features", project="any-project")
        checked_labels(dict(self.labels))
        if self.staging is not None and not self.staging.startswith("gs://"):
            raise ValueError(f"`staging` is an address in Cloud Storage, such as gs://bucket/folder; got {self.staging!r}.")
        if self.staging is not None and self.method == "storage_write":
            raise ValueError("`storage_write` needs no `staging`: rows are sent, not files. Leave one of the two out.")


@dataclass(frozen=True)
class PublishedRun:
    """A run as its line in the table `runs` tells it."""

    fingerprint: str
    source_rows: int
    rows: Mapping[str, int]  # by split
    windows: Mapping[str, Mapping[str, int]]  # by stride and split
    features: int
    config: Mapping[str, Any]
    state: str  # where the fitted state lies
    version: str


class BigQuerySink:
    """Publishes the tables of one run; every step of it may be repeated."""

    def __init__(self, spec: BigQuerySinkSpec, clients: Clients, *, put: Put | None = None) -> None:
        self._spec = spec
        self._clients = clients
        self._put = put
        self._granularities: dict[str, Granularity] = {}

    def publish(self, tables: Sequence[OutputTable], run: PublishedRun, *, nonce: str = "") -> None:
        """Stage every table, compare the rows with the manifest's, then publish each, then tell it in `runs`.

        Parameters
        ----------
        tables : sequence of OutputTable
            All tables of the run.
        run : PublishedRun
            Its line in `runs`.
        nonce : str
            Tells a run that is to be published anew from its first time; an interrupted one goes on under the same.

        Raises
        ------
        DataError
            If row counts differ, or the disposition does not allow to write; nothing was published then.
        """
        key = self._key(run.fingerprint, nonce)
        todo = [table for table in tables if not self._is_published(table, key)]
        for table in todo:
            table.check_parts()
            self._check_target(table)
        staged = {table.name: self._stage(table, key) for table in todo}
        for table in todo:
            self._count(table, staged[table.name])
        for table in todo:
            self._publish(table, staged[table.name], key)
        self._tell(tables, run, key)
        for name in staged.values():
            self._clients.jobs.delete_table(str(name), not_found_ok=True, retry=rest_retry(self._clients))

    def target(self, table: str) -> TableName:
        """Return the full name of one of the run's tables."""
        name = f"{self._spec.dataset}.{self._spec.prefix}{table}"
        return TableName.parse(name, project=self._clients.project)

    def _key(self, fingerprint: str, nonce: str) -> str:
        spec = self._spec
        what = [fingerprint, str(self.target("features")), spec.write_disposition, nonce]
        return f"emberharmony-{hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]}"

    # ---- staging -----------------------------------------------------------------------------------------------------

    def _stage(self, table: OutputTable, key: str) -> TableName:
        """Return a staging table that holds all rows of `table`, and fill it if it does not."""
        for generation in range(_MAX_GENERATIONS):
            into = self._staging_table(table, key, generation)
            loading = f"{key}-{table.name}-load-{generation}"
            exists = self._exists(into)
            # A generation whose jobs ran, but whose table is gone, is spent: its jobs will not run again.
            if not exists and find_job(self._clients, f"{loading}-00000-0", doing=f"Staging {table.name}") is not None:
                continue
            if not exists and find_job(self._clients, f"{loading}-0", doing=f"Staging {table.name}") is not None:
                continue
            if not exists:
                self._create_staging(table, into)
            self._fill(table, into, loading)
            return into
        raise DataError(f"Table {table.name!r} has been staged {_MAX_GENERATIONS} times, and never was published.")

    def _fill(self, table: OutputTable, into: TableName, loading: str) -> None:
        clients, spec = self._clients, self._spec
        if spec.method == "storage_write":
            # One commit covers all rows: there are all of them or none.
            if not self._rows_of(into):
                append_rows(clients, table, into, streams=spec.streams)
        elif spec.staging is not None:
            load_by_bucket(clients, table, into, key=loading, staging=spec.staging, put=self._put)
        else:
            load_by_upload(clients, table, into, key=loading)

    def _staging_table(self, table: OutputTable, key: str, generation: int) -> TableName:
        dataset = self._spec.staging_dataset or self._spec.dataset
        name = f"{dataset}.{key.replace('-', '_')}_{table.name}_{generation}"
        return TableName.parse(name, project=self._clients.project)

    def _create_staging(self, table: OutputTable, into: TableName) -> None:
        made = bigquery_table(str(into), table, self._granularity(table), self._labels())
        made.expires = dt.datetime.now(dt.UTC) + dt.timedelta(days=_STAGING_DAYS)
        self._create(made)

    def _rows_of(self, name: TableName) -> int:
        sql = f"SELECT COUNT(*) AS n FROM {name.sql}"
        return int(query_row(self._clients, sql, doing=f"Counting the rows of {name}")["n"])

    def _count(self, table: OutputTable, staged: TableName) -> None:
        found = query_table(
            self._clients,
            f"SELECT {quote(SPLIT)} AS name, COUNT(*) AS n FROM {staged.sql} GROUP BY {quote(SPLIT)}",
            doing=f"Counting the rows of {staged}",
        ).to_pylist()
        counts = dict.fromkeys(table.rows, 0) | {row["name"]: int(row["n"]) for row in found}
        if counts != dict(table.rows):
            self._clients.jobs.delete_table(str(staged), not_found_ok=True, retry=rest_retry(self._clients))
            raise DataError(
                f"Table {table.name!r} was staged with {counts} rows, the manifest says {dict(table.rows)}; nothing was "
                f"published, and the staged rows were removed. Run the same command again to stage them anew."
            )

    # ---- publishing --------------------------------------------------------------------------------------------------

    def _is_published(self, table: OutputTable, key: str) -> bool:
        attempt = 0
        while (job := find_job(self._clients, f"{key}-{table.name}-publish-{attempt}", doing="Publishing")) is not None:
            if job.state == "DONE" and not job.error_result:
                return True
            attempt += 1
        return False

    def _check_target(self, table: OutputTable) -> None:
        """Refuse, before anything is sent, what publishing would be refused for."""
        target = self.target(table.name)
        if not self._exists(target):
            return
        there = table_of(self._clients, target)
        disposition = self._spec.write_disposition
        if disposition == "fail" and there.num_rows:
            raise DataError(
                f"{target} has {there.num_rows:,} rows, and `sink.write_disposition` is `fail`. Choose another dataset or "
                f"prefix, or `replace` or `append`."
            )
        if disposition in ("append", "replace_partitions"):
            missing = {name.casefold() for name in table.names} ^ {column.name.casefold() for column in there.schema}
            if missing:
                raise DataError(
                    f"{target} and this run differ in the columns {', '.join(sorted(missing))}. Use the fitted state of the "
                    f"run that made the table (`apply`), or `sink.write_disposition: replace`."
                )
        has, wanted = _granularity_of(there), self._granularity(table)
        if has != wanted:
            raise DataError(
                f"{target} is partitioned by {(has or 'nothing').lower()}, this run by {(wanted or 'nothing').lower()}. Set "
                f"`sink.partition_by` to what the table has, or remove the table first."
            )

    def _publish(self, table: OutputTable, staged: TableName, key: str) -> None:
        target = self.target(table.name)
        doing = f"Publishing {target}"
        self._create(bigquery_table(str(target), table, self._granularity(table), self._labels()))
        job_key = f"{key}-{table.name}-publish"
        if self._spec.write_disposition == "replace_partitions":
            sql = self._merge_sql(table, staged, target)
            run_once(
                self._clients, job_key, lambda job_id: run_query(self._clients, sql, doing=doing, job_id=job_id), doing=doing
            )
        else:
            run_once(self._clients, job_key, lambda job_id: self._copy(staged, target, job_id), doing=doing)
        self._describe(table, target)

    def _copy(self, staged: TableName, target: TableName, job_id: str) -> Any:
        """Copy: atomic, free, and it keeps the staging table's partitions."""
        bigquery = library("google.cloud.bigquery")
        write = {"replace": "WRITE_TRUNCATE", "append": "WRITE_APPEND", "fail": "WRITE_EMPTY"}
        config = bigquery.CopyJobConfig(
            write_disposition=write[self._spec.write_disposition], labels=dict(self._clients.connection.labels)
        )
        return self._clients.jobs.copy_table(
            str(staged), str(target), job_id=job_id, job_config=config, retry=rest_retry(self._clients)
        )

    def _merge_sql(self, table: OutputTable, staged: TableName, target: TableName) -> str:
        """Return the statement that replaces whole partitions: those in which this run has rows."""
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
        columns = ", ".join(quote(name) for name in table.names)
        return (
            f"MERGE INTO {target.sql} AS target\nUSING {staged.sql} AS staged\nON FALSE\n"
            f"WHEN NOT MATCHED BY SOURCE AND {kind}_TRUNC(target.{column}, {granularity}) IN ({starts}) THEN DELETE\n"
            f"WHEN NOT MATCHED BY TARGET THEN INSERT ({columns}) VALUES ({columns})"
        )

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
        bigquery = library("google.cloud.bigquery")
        fields = [bigquery.SchemaField(name, kind, description=text) for name, kind, text in _RUN_COLUMNS]
        line = {
            "published_at": dt.datetime.now(dt.UTC).isoformat(),
            "fingerprint": run.fingerprint,
            "version": run.version,
            "source_rows": run.source_rows,
            "features": run.features,
            "rows": json.dumps(dict(run.rows)),
            "windows": json.dumps({stride: dict(counts) for stride, counts in run.windows.items()}),
            "tables": json.dumps([str(self.target(table.name)) for table in tables]),
            "write_disposition": self._spec.write_disposition,
            "state": run.state,
            "config": json.dumps(run.config, default=str),
        }
        target = self.target("runs")
        made = bigquery.Table(str(target), schema=fields)
        made.description = "Every run that published here; a run's line is written last."
        made.labels = self._labels()
        self._create(made)

        def begin(job_id: str) -> Any:
            labels = dict(self._clients.connection.labels)
            config = bigquery.LoadJobConfig(schema=fields, write_disposition="WRITE_APPEND", labels=labels)
            return self._clients.jobs.load_table_from_json([line], str(target), job_id=job_id, job_config=config)

        run_once(self._clients, f"{key}-runs", begin, doing=f"Adding the run to {target}")

    # ---- small things ------------------------------------------------------------------------------------------------

    def _granularity(self, table: OutputTable) -> Granularity | None:
        wanted = self._spec.partition_by
        if wanted == "none" or table.time is None:
            return None
        if wanted == "auto":
            if table.name not in self._granularities:
                target = self.target(table.name)
                there = _granularity_of(table_of(self._clients, target)) if self._exists(target) else None
                self._granularities[table.name] = there or table.finest_granularity(_MAX_PARTITIONS)
            return self._granularities[table.name]
        names: dict[str, Granularity] = {"hour": "HOUR", "day": "DAY", "month": "MONTH", "year": "YEAR"}
        return names[wanted]

    def _labels(self) -> dict[str, str]:
        return {**self._clients.connection.labels, **self._spec.labels}

    def _create(self, table: Any) -> None:
        try:
            self._clients.jobs.create_table(table, exists_ok=True, retry=rest_retry(self._clients))
        except google_errors() as error:
            name = f"{table.project}.{table.dataset_id}.{table.table_id}"
            raise_explained(error, doing=f"Creating {name}", permission="bigquery.tables.create")

    def _exists(self, name: TableName) -> bool:
        from google.api_core import exceptions as api

        try:
            self._clients.jobs.get_table(str(name), retry=rest_retry(self._clients))
        except api.NotFound:
            return False
        except google_errors() as error:
            raise_explained(error, doing=f"Looking up {name}", permission="bigquery.tables.get")
        return True


def _granularity_of(there: Any) -> Granularity | None:
    has = there.time_partitioning
    granularity: Granularity | None = has.type_ if has else None
    return granularity


_RUN_COLUMNS: Final = (
    ("published_at", "TIMESTAMP", "When the run was published"),
    ("fingerprint", "STRING", "Hash of source, settings and version: equal for equal results"),
    ("version", "STRING", "Version of emberharmony"),
    ("source_rows", "INT64", "Rows of the source"),
    ("features", "INT64", "Number of features"),
    ("rows", "STRING", "Rows by split, as JSON"),
    ("windows", "STRING", "Windows by stride and split, as JSON"),
    ("tables", "STRING", "Tables that the run published, as JSON"),
    ("write_disposition", "STRING", "What became of rows that were there before"),
    ("state", "STRING", "Where the fitted state lies"),
    ("config", "STRING", "The run's settings, as JSON"),
)
