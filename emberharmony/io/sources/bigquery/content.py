"""What identifies the rows of a table in BigQuery: its last change or, of a slice, those of the partitions that hold it."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from emberharmony.arrow import tick_unit
from emberharmony.errors import TerminalError
from emberharmony.io.bigquery.connection import Clients
from emberharmony.io.bigquery.identifiers import TableName
from emberharmony.io.bigquery.queries import query_table
from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec
from emberharmony.io.sources.time_rows import TimeRows

_LOGGER = logging.getLogger(__name__)
_IDS: Final = {"HOUR": "%Y%m%d%H", "DAY": "%Y%m%d", "MONTH": "%Y%m", "YEAR": "%Y"}
"""Formats of the ids of partitions; these are in UTC, and sort by time."""


class PartitionState(NamedTuple):
    """A partition as BigQuery's metadata describe it."""

    id: str
    n_rows: int  # the time of the last change need not tell of rows that were deleted
    modified: str  # ISO 8601


def identity_of(
    spec: BigQuerySourceSpec, table: TableName | None, content: str, columns: Sequence[str], schema: str, n_rows: int
) -> dict[str, Any]:
    """Return, as JSON can hold it, what identifies the rows that a job reads: settings that decide them, and the content."""
    return {
        "type": "bigquery",
        "source": spec.query or str(table),
        "parameters": dict(spec.parameters),
        "content": content,
        "where": spec.where,
        **({"rows": [str(spec.rows.start), str(spec.rows.stop)]} if spec.rows else {}),
        "columns": columns,
        "schema": schema,
        "order_by": list(spec.order_by),
        "key": spec.key,
        "n_rows": n_rows,
        **({"profile": spec.profile} if spec.profile != "stream" else {}),  # a query's medians are approximate
    }


def content_of(
    table: TableName,
    metadata: Any,
    snapshot: dt.datetime,
    partitions: Sequence[PartitionState] | None,
    *,
    is_past: bool = False,
) -> str:
    """Return what identifies the content of a table at the time of a snapshot, given its metadata of now.

    Parameters
    ----------
    table : TableName
        The table.
    metadata : google.cloud.bigquery.Table
        Its metadata, asked for after the snapshot was chosen.
    snapshot : datetime.datetime
        When the table is read.
    partitions : sequence of PartitionState, optional
        The partitions of which rows are read, if BigQuery tells.
    is_past : bool
        Whether the snapshot was given by the user, so that the metadata of now say nothing about it.
    """
    if partitions is not None and all(dt.datetime.fromisoformat(part.modified) < snapshot for part in partitions):
        return f"{table}, partitions {hashlib.sha256(json.dumps(partitions).encode()).hexdigest()[:24]}"
    changed = metadata.modified.isoformat() if metadata.modified else "at some time"
    late = metadata.modified is not None and metadata.modified >= snapshot
    if is_past or metadata.streaming_buffer is not None or late:
        # Streamed rows change a table without changing its metadata, and a last change after the snapshot says nothing
        # about it: the table is identified by its snapshot time.
        changed = snapshot.isoformat()
    return f"{table} of {changed}, {metadata.num_rows} rows"


def partitions_of(
    clients: Clients, table: TableName, metadata: Any, rows: TimeRows, columns: Sequence[pa.Field]
) -> list[PartitionState] | None:
    """Return the partitions that hold the rows of a slice; ``None`` where BigQuery does not tell.

    It does if the table is partitioned by the time column, no row is in a streaming buffer, and the account may look at
    ``INFORMATION_SCHEMA.PARTITIONS``.
    """
    by = metadata.time_partitioning
    if by is None or metadata.streaming_buffer is not None or (by.field or "").casefold() != rows.column.casefold():
        return None
    kind = next(column.type for column in columns if column.name == rows.column)
    first, last = partition_ids(rows, kind, by.type_)
    try:
        found = query_table(
            clients,
            "SELECT partition_id, total_rows, FORMAT_TIMESTAMP('%Y-%m-%dT%H:%M:%E6S+00:00', last_modified_time) AS modified\n"
            f"FROM `{table.project}.{table.dataset}.INFORMATION_SCHEMA.PARTITIONS`\n"
            "WHERE table_name = @table AND partition_id BETWEEN @first AND @last ORDER BY partition_id",
            doing=f"Looking up the partitions of {table}",
            parameters={"table": table.table, "first": first, "last": last},
        )
    except TerminalError as error:
        _LOGGER.info("The slice is identified by the last change of the whole table: %s", error)
        return None
    return [PartitionState(row["partition_id"], int(row["total_rows"] or 0), row["modified"]) for row in found.to_pylist()]


def partition_ids(rows: TimeRows, kind: pa.DataType, granularity: str) -> tuple[str, str]:
    """Return the ids of the first and the last partition that can hold rows of a slice.

    Examples
    --------
    >>> from emberharmony.slices import SlicesSpec
    >>> night = SlicesSpec(time_zone="America/New_York").named("2026-11-28")
    >>> rows = TimeRows("t", night.start, night.stop)
    >>> partition_ids(rows, pa.timestamp("us", "UTC"), "HOUR"), partition_ids(rows, pa.date32(), "DAY")
    (('2026112805', '2026112904'), ('20261128', '20261128'))
    """
    start, stop = rows.ticks(kind)
    first, last = np.array([start, stop - 1]).astype(f"M8[{tick_unit(kind)}]").astype("M8[us]").tolist()
    return first.strftime(_IDS[granularity]), last.strftime(_IDS[granularity])
