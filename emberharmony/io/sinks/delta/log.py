"""The log of one Delta table: what is in it, and the commit of a run's files, which happens once."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from emberharmony.errors import DataError, MissingLibraryError, PlanError, TerminalError, TransientError
from emberharmony.io.sinks.delta.parts import TablePart
from emberharmony.io.store import clients
from emberharmony.io.store.address import BucketAddress, is_bucket, without_query
from emberharmony.io.store.clients import settings_of
from emberharmony.io.store.errors import translate
from emberharmony.messages import listed

if TYPE_CHECKING:
    from deltalake import DeltaTable, Schema

_log = logging.getLogger(__name__)
_ATTEMPTS: Final = 20  # at a commit, if others commit in between
_LONGEST_WAIT_S: Final = 2.0
_REFUSED: Final = (
    "delta.constraints.",
    "delta.columnMapping.mode",
    "delta.generationExpression",
    "delta.identity.",
    "delta.invariants",
)
"""Properties of tables and columns for which registering a file is not enough: conditions on rows, or other names."""


@dataclass(frozen=True)
class Change:
    """What one commit does to a table: it adds a run's files, and may take others out of the table."""

    app_id: str
    """Identifies the publication: the log holds a transaction of it after the commit."""
    run_id: str
    """Fingerprint of the run."""
    schema: Schema | None
    """Columns of the files; ``None`` if there are no files."""
    partition_by: Sequence[str]
    parts: Sequence[TablePart]
    mode: str = "append"
    """``append``, or ``overwrite`` where files are taken out: those of `replaces`."""
    replaces: Sequence[tuple[str, str, Any]] = ()
    """Filters of the partitions whose files are taken out; all of the table's if there is none."""
    description: str = ""

    @property
    def keeps_rows(self) -> bool:
        """Whether rows of the table stay in it, so that the files need its columns."""
        return self.mode == "append" or bool(self.replaces)


@dataclass(frozen=True)
class DeltaLog:
    """The log of a table, which need not exist yet."""

    address: str
    """Path of the table, or its address in a bucket."""

    @property
    def url(self) -> str:
        """Path or URL by which deltalake finds the table."""
        return without_query(self.address)

    @property
    def options(self) -> dict[str, str]:
        """Settings of deltalake's client of the bucket; none for a path."""
        return settings_of(BucketAddress.parse(self.address)) if is_bucket(self.address) else {}

    def table(self) -> DeltaTable | None:
        """Return the newest version of the table; ``None`` if there is no table.

        Raises
        ------
        TransientError, TerminalError
            If it cannot be read.
        """
        library = deltalake_library()
        with _translated(self.address):
            try:
                table: DeltaTable = library.DeltaTable(self.url, storage_options=self.options)
            except library.exceptions.TableNotFoundError:
                return None
        return table

    def holds(self, app_id: str) -> bool:
        """Whether the table's log has a transaction of this publication."""
        table = self.table()
        return table is not None and table.transaction_version(app_id) is not None

    def commit(self, change: Change) -> bool:
        """Commit a change, unless it was committed before; returns whether this call did it.

        A commit that another writer was faster than is checked and tried again against the new version of the table.

        Raises
        ------
        DataError
            If the table's columns are not those of the files.
        TransientError
            If others commit again and again.
        """
        for attempt in range(_ATTEMPTS):
            table = self.table()
            if table is not None and table.transaction_version(change.app_id) is not None:
                return False
            if table is None and change.schema is None:
                return True  # no rows, and no table that could hold some
            if table is not None:
                check_fit(self.url, table, change.schema, change.partition_by, keeps_rows=change.keeps_rows)
            if self._try(table, change):
                return True
            time.sleep(random.uniform(0, min(_LONGEST_WAIT_S, 0.05 * 2**attempt)))
        raise TransientError(
            f"{self.url} was changed by others {_ATTEMPTS} times while this run's files were committed to it. Run the "
            f"same command again when they are done; it goes on where it stopped."
        )

    def _try(self, table: DeltaTable | None, change: Change) -> bool:
        """Commit a change as the next version of the table as it is known; returns False if another writer was faster."""
        library = deltalake_library()
        properties = library.CommitProperties(
            custom_metadata={"userMetadata": f"emberharmony run {change.run_id}", "emberharmony.run": change.run_id},
            max_commit_retries=0,  # for the conflict rules would let some changes of others pass
            app_transactions=[library.Transaction(change.app_id, 1)],
        )
        actions = [part.add_action() for part in change.parts]
        try:
            with _translated(self.address):
                if table is None:
                    library.transaction.create_table_with_add_actions(
                        self.url,
                        change.schema,
                        actions,
                        mode="error",
                        partition_by=list(change.partition_by),
                        description=change.description,
                        storage_options=self.options,
                        commit_properties=properties,
                    )
                else:
                    table.create_write_transaction(
                        actions,
                        change.mode,
                        table.schema() if change.keeps_rows or change.schema is None else change.schema,
                        list(change.partition_by),
                        list(change.replaces) or None,
                        commit_properties=properties,
                    )
        except (TransientError, TerminalError):  # also of a commit whose answer was lost, which `commit` then finds
            if not self._has_moved_on(table):
                raise
            return False
        return True

    def _has_moved_on(self, table: DeltaTable | None) -> bool:
        """Whether there are newer versions of a table."""
        newest = self.table()
        return newest is not None and (table is None or newest.version() > table.version())


def check_fit(
    address: str, table: DeltaTable, schema: Schema | None, partition_by: Sequence[str], *, keeps_rows: bool
) -> None:
    """Refuse to commit files to a table that they do not fit.

    Parameters
    ----------
    address : str
        The table, for messages.
    table : DeltaTable
        The table.
    schema : Schema or None
        Columns of the files; ``None`` if there are none.
    partition_by : sequence of str
        Columns that the files are partitioned by.
    keeps_rows : bool
        Whether rows of the table stay in it.

    Raises
    ------
    DataError
        If the columns or partitions differ.
    PlanError
        If the table has conditions on its rows, which nobody would check.
    """
    metadata = table.metadata()
    properties = [metadata.configuration, *(column.metadata for column in table.schema().fields)]
    unsupported = sorted(
        f"{key}={value}"
        for found in properties
        for key, value in found.items()
        if key.startswith(_REFUSED) and value != "none"
    )
    if unsupported:
        raise PlanError(
            f"{address} has {listed(unsupported)}: files are registered there as they are, and nothing would check it. Remove "
            f"the property, or publish to another `sink.path`."
        )
    if list(metadata.partition_columns) != list(partition_by):
        there, wanted = listed(metadata.partition_columns), listed(partition_by)
        raise DataError(
            f"{address} is partitioned by {there or 'nothing'}, this run by {wanted}. Change `sink.partition`, or publish to "
            f"another `sink.path`."
        )
    if keeps_rows and schema is not None:
        check_columns(address, types_of(table.schema()), types_of(schema))


def check_columns(address: str, there: Mapping[str, str], wanted: Mapping[str, str], *, all_of_them: bool = True) -> None:
    """Refuse to add columns to a table whose columns have other names or types.

    Raises
    ------
    DataError
        If they differ; the message names some.

    Examples
    --------
    >>> check_columns("out/features", {"x": "float", "y": "long"}, {"x": "float", "z": "long"})
    Traceback (most recent call last):
    emberharmony.errors.DataError: out/features holds rows with other columns than this run's: it has no z, ...
    """
    reasons = []
    missing = [name for name in wanted if name not in there]
    surplus = [name for name in there if name not in wanted] if all_of_them else []
    changed = [f"{name!r} is {there[name]}, not {kind}" for name, kind in wanted.items() if there.get(name, kind) != kind]
    if missing:
        reasons.append(f"it has no {listed(missing)}")
    if surplus:
        reasons.append(f"this run has no {listed(surplus)}")
    if changed:
        reasons.append("there, " + ", ".join(changed[:3]))
    if reasons:
        raise DataError(
            f"{address} holds rows with other columns than this run's: {', and '.join(reasons)}. To keep those rows, apply "
            f"the state that made them. Otherwise publish to another `sink.path` or, unless the job is run by slices, set "
            f"`sink.write_disposition: replace`."
        )


def types_of(schema: Schema) -> dict[str, str]:
    """Return the columns of a table and their types, in Delta's words."""
    return {column.name: column.type.to_json().strip('"') for column in schema.fields}


def deltalake_library() -> Any:
    """Import deltalake, or say how to install it.

    Raises
    ------
    MissingLibraryError
        If it cannot be imported.
    """
    try:
        import deltalake
        import deltalake.exceptions
        import deltalake.transaction
    except ImportError as error:
        raise MissingLibraryError(
            f"Delta tables need deltalake, which cannot be imported ({error}). Install it with: pip install "
            f"'emberharmony[delta]'"
        ) from error
    return deltalake


@contextmanager
def _translated(address: str) -> Iterator[None]:
    """Translate errors of deltalake; its errors of storage are OSErrors, and it has retried what may pass."""
    exceptions = deltalake_library().exceptions
    try:
        yield
    except exceptions.TableNotFoundError:
        raise
    except OSError as error:
        if is_bucket(address):
            raise clients.translation(without_query(address), error) from None
        raise translate(error, address) from error
    except exceptions.DeltaError as error:
        raise TerminalError(
            f"{without_query(address)} cannot be used as a Delta table: {str(error).splitlines()[0]}."
        ) from error
