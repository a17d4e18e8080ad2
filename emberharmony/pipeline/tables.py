"""A run's parts as BigQuery tables: which parts make a table, and what its columns are."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from emberharmony.errors import PlanError
from emberharmony.features.columns import ROW_NUMBER, ColumnRoles
from emberharmony.io.bigquery.column_types import converted, is_exact, why_not_written, written_as
from emberharmony.io.bigquery.connection import shared_clients
from emberharmony.io.bigquery.identifiers import TableName
from emberharmony.io.bigquery.metadata import dataset_location, exists
from emberharmony.io.manifest import Manifest
from emberharmony.io.sinks.bigquery.bucket import check_writable
from emberharmony.io.sinks.bigquery.runs import PublishedRun
from emberharmony.io.sinks.bigquery.sink import BigQuerySink, BigQuerySinkSpec
from emberharmony.io.sinks.bigquery.tables import OWN_COLUMNS, OutputTable, Part
from emberharmony.io.store.local import FileRecord, Store
from emberharmony.pipeline.descriptions import feature_descriptions, window_descriptions
from emberharmony.pipeline.run import Run

SINK = "sink.json"
"""File, in a staged run, that names the BigQuery dataset it is published to."""

PLACE = "state/bigquery.json"
"""File, beside the state, that names the tables it was published to."""

_DONE = "tables-published"


def check_sink(spec: BigQuerySinkSpec) -> None:
    """Refuse a place that rows cannot be published to: before the work, not after it.

    Raises
    ------
    PlanError
        If datasets do not lie together, or not where the connection says.
    TerminalError
        If a dataset or bucket is not there, or not for this account.
    """
    clients = shared_clients(spec.connection)
    target = BigQuerySink(spec, clients).target("features")
    places = {f"Dataset {spec.dataset}": dataset_location(clients, target)}
    if spec.staging_dataset is not None:
        staging = TableName.parse(f"{spec.staging_dataset}.features", project=clients.project)
        places[f"`sink.staging_dataset` {spec.staging_dataset}"] = dataset_location(clients, staging)
    if spec.connection.location is not None:
        places["`connection.location`"] = spec.connection.location
    if len({place.casefold() for place in places.values()}) > 1:
        raise PlanError(f"{', '.join(f'{what} is in {place}' for what, place in places.items())}: these have to be the same.")
    if spec.staging is not None:
        check_writable(clients, spec.staging)


def check_columns(schema: pa.Schema, roles: ColumnRoles) -> None:
    """Refuse carried columns that BigQuery has no type for, or another column of that name.

    Raises
    ------
    PlanError
        If there is one; the message names it.
    """
    for name in roles.carried:
        kind = schema.field(name).type
        if name.casefold() in OWN_COLUMNS:
            raise PlanError(
                f"Column {name!r} would be carried into tables that have a column {name.casefold()!r} of their own: BigQuery "
                f"ignores case. Rename it in the source, or do not carry it."
            )
        if written_as(kind) is None:
            raise PlanError(
                f"Column {name!r} is of type {kind}, which is not written to BigQuery: {why_not_written(kind)}. Convert it in "
                f"the source, leave it out of `columns.passthrough`, or publish to `sink.type: parquet`."
            )


def check_values(run: Run, rows: pa.Table) -> None:
    """Refuse carried values that BigQuery cannot hold, where they are first read rather than when they are published.

    Raises
    ------
    DataError
        If there is one; the message names it.
    """
    if not run.plan.spec.job.publishes_rows or not run.store.exists(SINK):
        return
    for name in run.plan.roles.carried:
        if not is_exact(rows.schema.field(name).type):
            converted(rows[name], name)


def note_sink(run: Run, sink: BigQuerySinkSpec) -> None:
    """Write down where the run's tables go, for whichever worker publishes."""
    run.store.write_json(SINK, sink_adapter().dump_python(sink, mode="json"))


def publish_tables(run: Run, manifest: Manifest, sink: Path) -> None:
    """Publish the run's tables where `note_sink` has written down, if anywhere; done twice, it is done once."""
    if not run.store.exists(SINK) or run.store.exists(_DONE):
        return
    spec: BigQuerySinkSpec = sink_adapter().validate_python(run.store.read_json(SINK))
    target = BigQuerySink(spec, shared_clients(spec.connection))
    published = PublishedRun(
        fingerprint=manifest.fingerprint,
        source_rows=manifest.source_rows,
        rows=manifest.rows,
        windows={stride: counts.windows for stride, counts in manifest.strides.items()},
        features=len(manifest.features),
        config=manifest.spec,
        state=str((sink / "state").absolute()),
        version=manifest.versions["emberharmony"],
        drift=manifest.drift,
    )
    tables = list(output_tables(run, manifest))
    target.publish(tables, published, nonce=_nonce(run, spec))
    run.store.write_json(PLACE, {table.name: str(target.target(table.name)) for table in tables})
    run.store.write(_DONE, b"")  # from here on files may be moved away, and need not be read again


def rows_accumulate(sink: Path, spec: BigQuerySinkSpec) -> bool:
    """Whether the rows of the result at a sink are in the tables that the job adds to, and stay there."""
    if spec.write_disposition not in ("append", "replace_partitions"):
        return False
    places = _places(sink)
    if not places:
        return False
    return places.get("features") == str(BigQuerySink(spec, shared_clients(spec.connection)).target("features"))


def check_same_tables(sink: Path, spec: BigQuerySinkSpec) -> None:
    """Refuse a folder whose result was published to other tables than the job now names, or to tables that are gone.

    Raises
    ------
    PlanError
        If it was.
    """
    places = _places(sink)
    clients = shared_clients(spec.connection)
    there, wanted = places.get("features", "no table at all"), str(BigQuerySink(spec, clients).target("features"))
    if there != wanted:
        raise PlanError(
            f"{sink} holds the result as it was published to {there}, the job now names {wanted}. Give each its own "
            f"`sink.path`, or publish anew with --overwrite."
        )
    gone = [place for place in places.values() if not exists(clients, TableName.parse(place))]
    if gone:
        raise PlanError(f"{sink} holds a result whose tables are gone: {', '.join(gone)}. Publish it anew with --overwrite.")


def _places(sink: Path) -> dict[str, str]:
    """Tables that the result at a sink was published to; none where that is not known."""
    store = Store(sink)
    try:
        places: dict[str, str] = store.read_json(PLACE) if store.exists(PLACE) else {}
    except ValueError:
        return {}
    return places


def output_tables(run: Run, manifest: Manifest) -> Iterator[OutputTable]:
    """Yield the tables of a run: its features, and the windows of every stride."""
    roles = run.plan.roles
    carried = {ROW_NUMBER: "Number of the row in the source's order"}
    carried |= {name: f"{name} of the source, as it was" for name in roles.carried}
    yield OutputTable(
        "features",
        _parts(run, manifest.files, "features/"),
        manifest.rows,
        run_id=manifest.fingerprint,
        time=roles.time,
        description=f"Features of run {manifest.fingerprint}, one row for each row of the source",
        descriptions=carried | feature_descriptions(run.fitted.preprocessing.columns),
    )
    size = run.plan.spec.windows.size
    for stride, counts in manifest.strides.items():
        yield OutputTable(
            f"windows_stride_{stride}",
            _parts(run, manifest.files, f"windows/stride={stride}/"),
            counts.windows,
            run_id=manifest.fingerprint,
            time="end_time" if roles.time else None,
            description=f"Windows of {size} rows of run {manifest.fingerprint}, one every {stride}, as {counts.components} "
            f"principal components that explain {counts.explained:.1%} of the training windows' variance",
            descriptions={
                **window_descriptions(run),
                **{
                    f"pc_{i}": f"Score on component {i}, which explains {share:.2%} of the variance"
                    for i, share in enumerate(counts.explained_variance_ratio, start=1)
                },
            },
        )


def _parts(run: Run, files: tuple[FileRecord, ...], prefix: str) -> tuple[Part, ...]:
    return tuple(
        Part(run.store.path(file), file.name.split("split=")[1].split("/")[0])
        for file in files
        if file.name.startswith(prefix)
    )


def _nonce(run: Run, spec: BigQuerySinkSpec) -> str:
    """Tell this run's publishing from an earlier one's of the same content, but not from its own interrupted attempt."""
    if spec.write_disposition in ("append", "fail"):
        return ""  # the same content is appended once, whoever asks
    name = "publication.json"
    if not run.store.exists(name):
        run.store.write_json(name, {"nonce": uuid.uuid4().hex})
    return str(run.store.read_json(name)["nonce"])


@cache
def sink_adapter() -> Any:
    """What reads and writes a sink's spec, made once."""
    from pydantic import TypeAdapter

    return TypeAdapter(BigQuerySinkSpec)
