"""Whether a run's rows fit a table that is there already: checked before anything is sent."""

from __future__ import annotations

from typing import Any, Final

from emberharmony.errors import DataError
from emberharmony.io.bigquery.identifiers import TableName
from emberharmony.io.sinks.bigquery.tables import OWN_COLUMNS, OutputTable
from emberharmony.messages import listed
from emberharmony.planning.partitions import Granularity

_LEGACY: Final = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT"}


def check_fit(name: TableName, there: Any, table: OutputTable, disposition: str, granularity: Granularity | None) -> None:
    """Refuse what publishing a table's rows to a table that is there would be refused for.

    Raises
    ------
    DataError
        If they do not fit; the message says what to do.
    """
    if disposition == "fail" and there.num_rows:
        raise DataError(
            f"{name} has {there.num_rows:,} rows, and `sink.write_disposition` is `fail`. Choose another dataset or "
            f"prefix, or `replace` or `append`."
        )
    if disposition in ("append", "replace_partitions", "replace_slice"):
        _check_columns(name, there, table)
    has = granularity_of(there)
    if has != granularity:
        raise DataError(
            f"{name} is partitioned by {(has or 'nothing').lower()}, this run by {(granularity or 'nothing').lower()}. Set "
            f"`sink.partition_by` to what the table has, or remove the table first."
        )


def granularity_of(there: Any) -> Granularity | None:
    """Return what a table is partitioned by."""
    has = there.time_partitioning
    granularity: Granularity | None = has.type_ if has else None
    return granularity


def _check_columns(name: TableName, there: Any, table: OutputTable) -> None:
    has = {column.name.casefold(): _type_of(column) for column in there.schema}
    wanted = {column.name.casefold(): _type_of(column) for column in table.fields()}
    differ = has.keys() ^ wanted.keys()
    # A table of an earlier version has rows without them; it gets the columns when it is published to.
    differ -= {column for column in OWN_COLUMNS if column not in has}
    if differ:
        raise DataError(
            f"{name} and this run differ in the columns {listed(sorted(differ))}. Use the fitted state of the "
            f"run that made the table (`apply`), another `sink.prefix` or, unless the job is run by slices, "
            f"`sink.write_disposition: replace`."
        )
    others = [
        f"{column} is {has[column]} there and {kind} here" for column, kind in wanted.items() if has.get(column, kind) != kind
    ]
    if others:
        raise DataError(
            f"{name} and this run differ in the types of columns: {listed(others)}. Convert them in the source, or set "
            f"`sink.write_disposition: replace`."
        )


def _type_of(column: Any) -> str:
    kind = str(column.field_type).upper()
    return _LEGACY.get(kind, kind)
