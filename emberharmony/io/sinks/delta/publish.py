"""The sink of Delta tables: a run's parts lie in the tables' folders, and one commit to each table's log registers them."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from emberharmony.errors import PlanError
from emberharmony.features.columns import ROW_NUMBER
from emberharmony.io.manifest import PUBLISHED_TO, Manifest, places_of
from emberharmony.io.sinks.base import check_registered, fitted_outputs
from emberharmony.io.sinks.base_sink import BaseSink
from emberharmony.io.sinks.delta.columns import stored, stored_type, why_not_stored
from emberharmony.io.sinks.delta.log import Change, DeltaLog, check_columns, check_fit, deltalake_library, types_of
from emberharmony.io.sinks.delta.parts import TablePart, read_parts
from emberharmony.io.sinks.delta.places import KEPT, Places, is_own, table_of_windows
from emberharmony.io.sinks.delta.spec import SPLIT, DeltaSinkSpec
from emberharmony.io.sinks.delta.tables import OutputTable, delta_schema, output_tables
from emberharmony.io.store.address import child_address
from emberharmony.io.store.base import Store
from emberharmony.io.store.opening import open_files
from emberharmony.io.store.routed import RoutedStore

if TYPE_CHECKING:
    from deltalake import Schema

_LOGGER = logging.getLogger(__name__)
_DONE: Final = "tables-published"


class DeltaSink(BaseSink[DeltaSinkSpec]):
    """Delta tables below a folder: `features`, and one `windows_stride_N` for each stride."""

    @property
    def own_folders(self) -> tuple[str, ...]:
        """Folders of the parts, which are in the tables."""
        return KEPT

    def check_credentials(self) -> None:
        """Refuse a job if deltalake is not installed; the store of the result finds out whether it can be reached."""
        deltalake_library()

    def check_columns(self, schema: pa.Schema, carried: Sequence[str]) -> None:
        """Refuse carried columns that Delta has no type for, or that the table's other rows do not have.

        Raises
        ------
        PlanError
            If there is one; the message names it.
        DataError
            If rows stay in a table whose carried columns have other names or types.
        """
        fields = [pa.field(ROW_NUMBER, pa.int64())]
        for name in carried:
            kind = schema.field(name).type
            stored_as = stored_type(kind)
            if stored_as is None:
                raise PlanError(
                    f"Column {name!r} is of type {kind}, which Delta tables do not hold: {why_not_stored(kind)}. Convert it "
                    f"in the source, leave it out of `columns.passthrough`, or publish to `sink.type: parquet`."
                )
            fields.append(pa.field(name, stored_as))
        if not carried:
            return  # of a job that only fits
        self._check_names([ROW_NUMBER, *carried])
        there = self._kept_types()
        if there is not None:
            check_columns(self._log("features").url, there, types_of(delta_schema(fields)), all_of_them=False)

    def check_features(self, names: Sequence[str], carried: Sequence[str]) -> None:
        """Refuse features that differ in case alone, or that the table's other rows do not have.

        Raises
        ------
        PlanError
            If names differ in case alone.
        DataError
            If rows stay in a table of other features.
        """
        self._check_names([ROW_NUMBER, *carried, *names])
        there = self._kept_types()
        if there is not None:
            others = {ROW_NUMBER, *carried, *self._spec.partition_columns}
            features = {name: kind for name, kind in there.items() if name not in others}
            check_columns(self._log("features").url, features, dict.fromkeys(names, "float"))

    def check(self) -> None:
        """Refuse a folder with other files than those of a Delta table, and a table that is partitioned otherwise.

        Raises
        ------
        PlanError, DataError, TerminalError
            If the table cannot be published to.
        """
        log = self._log("features")
        table = log.table()
        if table is not None:
            check_fit(log.url, table, None, self._spec.partition_columns, keeps_rows=self._spec.keeps_rows)
            return
        others = [name for name in self._tables.list("features") if not is_own(name.removeprefix("features/"))]
        if others:
            raise PlanError(
                f"{log.url} holds files and is no Delta table: {others[0]}. Choose another `sink.path`, or move them away."
            )

    def as_written(self, columns: pa.Table) -> pa.Table:
        """Return carried columns in the types that they have in a Delta table."""
        return stored(columns)

    def staged(self, run: Store) -> Store:
        """Return the store of a run whose parts are below the tables: they are never moved."""
        return RoutedStore(run, self._tables, Places.of(run, self._spec.own_partition))

    def accumulates(self, published: Store) -> bool:
        """Whether rows of the result in this folder stay in the tables when the job adds its own."""
        return self._spec.keeps_rows and places_of(published).get("features") == "features"

    def check_published(self, published: Store, manifest: Manifest) -> None:
        """Refuse a result whose tables are gone.

        Raises
        ------
        PlanError
            If one is.
        """
        if not manifest.holds_rows:
            return
        gone = [name for name, place in places_of(published).items() if self._log(place).table() is None]
        if gone:
            raise PlanError(
                f"{published.address} holds a result whose tables are gone: {', '.join(gone)}. Publish it again with "
                f"--overwrite."
            )

    def publish(self, run: Store, manifest: Manifest, *, state: str) -> None:
        """Commit the run's parts to the tables, `features` last: whose reader finds the windows of the same run.

        Raises
        ------
        DamagedError
            If a part is missing or was changed; nothing was committed.
        DataError, PlanError
            If a table's columns or partitions are others; nothing was committed.
        """
        if not manifest.holds_rows or run.exists(_DONE):
            return
        places = Places.of(run, self._spec.own_partition)
        check_registered(run, manifest)
        changes = {table.name: self._change(run, manifest, table, places) for table in output_tables(manifest)}
        for name, change in changes.items():
            self._check_target(name, change)
        for name, change in changes.items():
            if not self._log(name).commit(change):
                _LOGGER.info("This run's rows were committed to %s before, and are not added twice.", self._log(name).url)
        written = [name for name, change in changes.items() if self._log(name).table() is not None]
        run.write_json(PUBLISHED_TO, {name: name for name in written})
        run.put(_DONE, b"")  # from here on the tables may be changed by others, and the parts removed

    def outputs(self, manifest: Manifest) -> tuple[str, ...]:
        """Tables, folder and file of a published result."""
        names = ["features", *map(table_of_windows, manifest.strides)] if manifest.holds_rows else []
        return (*(self._log(name).url for name in names), *fitted_outputs(self._spec.path, manifest))

    @property
    def _tables(self) -> Store:
        return open_files(self._spec.folder_of_tables)

    def _log(self, table: str) -> DeltaLog:
        return DeltaLog(child_address(self._spec.folder_of_tables, table))

    def _kept_types(self) -> dict[str, str] | None:
        """Columns of rows that stay in the table of features; ``None`` if none do."""
        table = self._log("features").table() if self._spec.keeps_rows else None
        return types_of(table.schema()) if table is not None else None

    def _check_names(self, names: Sequence[str]) -> None:
        """Refuse names that differ in case alone, among them those of the partition columns."""
        seen = {name.casefold(): name for name in self._spec.partition_columns}
        for name in names:
            other = seen.setdefault(name.casefold(), name)
            if other is not name:
                partitions = ", ".join(self._spec.partition_columns)
                raise PlanError(
                    f"A Delta table cannot have the columns {other!r} and {name!r}: it ignores case, and is partitioned by "
                    f"{partitions}. Rename one in the source, drop or do not carry its column, or publish to "
                    f"`sink.type: parquet`."
                )

    def _check_target(self, name: str, change: Change) -> None:
        log = self._log(name)
        table = log.table()
        if table is not None and table.transaction_version(change.app_id) is None:
            check_fit(log.url, table, change.schema, change.partition_by, keeps_rows=change.keeps_rows)

    def _change(self, run: Store, manifest: Manifest, table: OutputTable, places: Places) -> Change:
        """Return the commit of one table."""
        spec = self._spec
        splits = [file.name.split("split=")[1].partition("/")[0] for file in table.files]
        paths = [str(places(file.kept_as)).removeprefix(f"{table.name}/") for file in table.files]
        parts = read_parts(run, table.files, paths, [spec.partition_values(split) for split in splits])
        change = Change(
            app_id=self._app_id(manifest.fingerprint, places.folder),
            run_id=manifest.fingerprint,
            schema=self._schema(parts, table.descriptions) if parts else None,
            partition_by=spec.partition_columns,
            parts=parts,
            description=table.description,
        )
        if spec.write_disposition == "append":
            return change
        values = [(column, "=", value) for column, value in spec.own_partition.items()]
        if spec.write_disposition == "replace":
            return replace(change, mode="overwrite", replaces=values)
        return replace(change, mode="overwrite", replaces=[*values, (SPLIT, "in", list(table.splits))])

    def _schema(self, parts: Sequence[TablePart], descriptions: Mapping[str, str]) -> Schema:
        fields = [*parts[0].schema, *(pa.field(name, pa.string()) for name in self._spec.partition_columns)]
        return delta_schema(fields, descriptions)

    def _app_id(self, fingerprint: str, folder: str) -> str:
        """Key that differs between publications of the same content, but not between attempts of one publication."""
        spec = self._spec
        nonce = "" if spec.write_disposition == "append" else folder  # the same content is appended once, by any run
        text = json.dumps([fingerprint, spec.write_disposition, dict(spec.own_partition), nonce])
        return f"emberharmony-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
