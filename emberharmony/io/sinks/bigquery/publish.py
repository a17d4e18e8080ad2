"""The sink of BigQuery tables: which tables a result has, and what BigQuery cannot hold."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa

from emberharmony.errors import PlanError
from emberharmony.features.columns import ROW_NUMBER
from emberharmony.io.bigquery.column_types import converted, is_exact, why_not_written, written_as
from emberharmony.io.bigquery.connection import Clients, shared_clients
from emberharmony.io.bigquery.identifiers import TableName
from emberharmony.io.bigquery.metadata import dataset_location, exists
from emberharmony.io.manifest import PUBLISHED_TO, Manifest, places_of
from emberharmony.io.parts import as_stored
from emberharmony.io.sinks.base import check_registered, fitted_outputs
from emberharmony.io.sinks.base_sink import BaseSink
from emberharmony.io.sinks.bigquery.bucket import CloudObjects, check_writable
from emberharmony.io.sinks.bigquery.publication import Publication
from emberharmony.io.sinks.bigquery.runs import PublishedRun
from emberharmony.io.sinks.bigquery.spec import BigQuerySinkSpec
from emberharmony.io.sinks.bigquery.tables import OutputTable, Part, names_of, own_columns_of, own_values
from emberharmony.io.store.address import BucketAddress
from emberharmony.io.store.base import Store
from emberharmony.io.store.object_store import ObjectStore
from emberharmony.io.store.routed import RoutedStore, own_folder
from emberharmony.messages import count_of

_DONE = "tables-published"
_NONCE = "publication.json"


class BigQuerySink(BaseSink[BigQuerySinkSpec]):
    """Tables in a dataset: `features`, one `windows_stride_N` for each stride, and `runs`."""

    @property
    def own_folders(self) -> tuple[str, ...]:
        """Folders of the parts, where workers write the files to load; else none."""
        return () if self._spec.load_files is None else ("features", "windows")

    @property
    def _clients(self) -> Clients:
        return shared_clients(self._spec.connection)

    @property
    def _publication(self) -> Publication:
        return Publication(self._spec, self._clients)

    def check_credentials(self) -> None:
        """Look up who the credentials are of; those in a Prefect block are looked up when there is a Prefect server."""
        self._spec.connection.check_credentials()

    def check_columns(self, schema: pa.Schema, carried: Sequence[str]) -> None:
        """Refuse carried columns that BigQuery has no type for, or whose name a table has already.

        Raises
        ------
        PlanError
            If there is one; the message names it.
        """
        for name in carried:
            kind = schema.field(name).type
            if name.casefold() in own_columns_of(self._spec.slice):
                raise PlanError(
                    f"Column {name!r} would be carried into tables that have a column {name.casefold()!r} of their own: "
                    f"BigQuery ignores case. Rename it in the source, or do not carry it."
                )
            if written_as(kind) is None:
                raise PlanError(
                    f"Column {name!r} is of type {kind}, which is not written to BigQuery: {why_not_written(kind)}. Convert "
                    f"it in the source, leave it out of `columns.passthrough`, or publish to `sink.type: parquet`."
                )

    def check(self) -> None:
        """Refuse datasets in different locations, and a dataset or bucket that is missing or not for this account.

        Raises
        ------
        PlanError
            If the locations of the datasets and the connection differ.
        TerminalError
            If a dataset or bucket is missing, or this account may not use it.
        """
        spec, clients = self._spec, self._clients
        places = {f"Dataset {spec.dataset}": dataset_location(clients, self._publication.target("features"))}
        if spec.staging_dataset is not None:
            staging = TableName.parse(f"{spec.staging_dataset}.features", project=clients.project)
            places[f"`sink.staging_dataset` {spec.staging_dataset}"] = dataset_location(clients, staging)
        if spec.connection.location is not None:
            places["`connection.location`"] = spec.connection.location
        if len({place.casefold() for place in places.values()}) > 1:
            raise PlanError(
                f"{', '.join(f'{what} is in {place}' for what, place in places.items())}: these have to be the same."
            )
        if spec.load_files is not None:
            check_writable(clients, spec.load_files)

    def check_values(self, rows: pa.Table, carried: Sequence[str]) -> None:
        """Refuse carried values that BigQuery cannot hold.

        Raises
        ------
        DataError
            If there is one; the message names it.
        """
        for name in carried:
            if not is_exact(rows.schema.field(name).type):
                converted(rows[name], name)

    def as_written(self, columns: pa.Table) -> pa.Table:
        """Return carried columns as load files hold them, where workers write those; else unchanged."""
        if self._spec.load_files is None:
            return columns
        for i, name in enumerate(columns.column_names):
            columns = columns.set_column(i, name, converted(columns[name], name))
        return columns

    def as_part(self, rows: pa.Table, *, split: str, run_id: str) -> pa.Table:
        """Return the rows with the names and columns of a load file, where workers write those; else unchanged."""
        if self._spec.load_files is None:
            return rows
        own = own_values(split, run_id, self._spec.slice)
        return as_stored(rows, names_of(rows.column_names, list(own)), own)

    def staged(self, run: Store) -> Store:
        """Return the store of a run whose load files are in Cloud Storage, where workers write those; else the run's own."""
        if self._spec.load_files is None:
            return run
        address = BucketAddress.parse(self._spec.load_files)
        objects = CloudObjects(self._spec.connection, address.bucket)
        return RoutedStore(run, ObjectStore(objects, address / own_folder(run)), _load_file)

    def accumulates(self, published: Store) -> bool:
        """Whether the result in this folder was published to the tables that the job adds its rows to."""
        if self._spec.write_disposition not in ("append", "replace_partitions"):
            return False
        places = places_of(published)
        return bool(places) and places.get("features") == str(self._publication.target("features"))

    def check_published(self, published: Store, manifest: Manifest) -> None:
        """Refuse a result that was published to other tables than the job now names, or to tables that are gone.

        Raises
        ------
        PlanError
            If it was.
        """
        if not manifest.holds_rows:
            return
        places = places_of(published)
        there, wanted = places.get("features", "no table at all"), str(self._publication.target("features"))
        if there != wanted:
            raise PlanError(
                f"{published.address} holds the result as it was published to {there}, the job now names {wanted}. Give each "
                f"its own `sink.path`, or publish again with --overwrite."
            )
        gone = [place for place in places.values() if not exists(self._clients, TableName.parse(place))]
        if gone:
            raise PlanError(
                f"{published.address} holds a result whose tables are gone: {', '.join(gone)}. Publish it again with "
                f"--overwrite."
            )

    def publish(self, run: Store, manifest: Manifest, *, state: str) -> None:
        """Publish the run's tables, and write their names beside the state."""
        if not manifest.holds_rows or run.exists(_DONE):
            return
        published = PublishedRun(
            fingerprint=manifest.fingerprint,
            source_rows=manifest.source_rows,
            rows=manifest.rows,
            windows={stride: counts.windows for stride, counts in manifest.strides.items()},
            features=len(manifest.features),
            config=manifest.spec,
            state=state,
            version=manifest.versions["emberharmony"],
            drift=manifest.drift,
            slice=self._spec.slice,
        )
        check_registered(run, manifest)
        files = f"{self._spec.load_files.rstrip('/')}/{own_folder(run)}/" if self._spec.load_files is not None else None
        tables = [replace(table, slice=self._spec.slice) for table in output_tables(run, manifest)]
        publication = self._publication
        publication.publish(tables, published, nonce=self._nonce(run), files=files)
        run.write_json(PUBLISHED_TO, {table.name: str(publication.target(table.name)) for table in tables})
        run.put(_DONE, b"")  # from here on files may be moved away, and need not be read again

    def outputs(self, manifest: Manifest) -> tuple[str, ...]:
        """Tables, folder and file of a published result."""
        spec = self._spec
        tables = ("features", *(f"windows_stride_{stride}" for stride in manifest.strides), "runs")
        names = [f"{spec.dataset}.{spec.prefix}{table}" for table in tables] if manifest.holds_rows else []
        return (*names, *fitted_outputs(spec.path, manifest))

    def _nonce(self, run: Store) -> str:
        """Key that differs between publications of the same content, but not between attempts of one publication."""
        if self._spec.write_disposition in ("append", "fail"):
            return ""  # the same content is appended once, by any run
        if not run.exists(_NONCE):
            run.write_json(_NONCE, {"nonce": uuid.uuid4().hex})
        return str(run.read_json(_NONCE)["nonce"])


def output_tables(run: Store, manifest: Manifest) -> Iterator[OutputTable]:
    """Yield the tables of a staged run: its features, and the windows of every stride."""
    time = manifest.spec["columns"]["time"]
    carried = {
        name: f"{name} of the source, as it was" for name in manifest.schema if name not in {ROW_NUMBER, *manifest.features}
    }
    yield OutputTable(
        "features",
        _parts(run, manifest, "features/"),
        manifest.rows,
        run_id=manifest.fingerprint,
        time=time,
        description=f"Features of run {manifest.fingerprint}, one row for each row of the source",
        descriptions={ROW_NUMBER: "Number of the row in the source's order", **carried, **manifest.descriptions},
    )
    size = manifest.spec["windows"]["size"]
    for stride, counts in manifest.strides.items():
        scores = {
            f"pc_{i}": f"Score on component {i}, which explains {share:.2%} of the variance"
            for i, share in enumerate(counts.explained_variance_ratio, start=1)
        }
        yield OutputTable(
            f"windows_stride_{stride}",
            _parts(run, manifest, f"windows/stride={stride}/"),
            counts.windows,
            run_id=manifest.fingerprint,
            time="end_time" if time else None,
            description=f"Windows of {size} rows of run {manifest.fingerprint}, one every {stride}, as "
            f"{count_of(counts.components, 'principal component')} with {counts.explained:.1%} of the variance in training",
            descriptions={**manifest.window_columns, **scores},
        )


def _parts(run: Store, manifest: Manifest, prefix: str) -> tuple[Part, ...]:
    files = (*manifest.files, *manifest.registered)
    return tuple(Part(run, file, file.name.split("split=")[1].split("/")[0]) for file in files if file.name.startswith(prefix))


def _load_file(name: str) -> str | None:
    """Name of a part among the load files; ``None`` for a file that is none."""
    return name if name.startswith(("features/", "windows/")) else None
