"""What planning asks of a BigQuery table: its order and counts of times, by queries that return only counts."""

from __future__ import annotations

import numpy as np

from emberharmony.arrow import ticks
from emberharmony.errors import DataError
from emberharmony.io.bigquery.queries import query_table
from emberharmony.io.sources.base import RowOrder, TimeRange
from emberharmony.io.sources.bigquery.materialise import warn_of_scans
from emberharmony.io.sources.bigquery.read import read_where
from emberharmony.io.sources.bigquery.table import BigQueryTable
from emberharmony.typing import IntArray


class BigQueryPlanning:
    """Answers about a table in BigQuery, see `Source`."""

    def __init__(self, table: BigQueryTable) -> None:
        self._table = table

    def order(self, time: str | None) -> RowOrder:
        """By `time`, or, without one, by the key."""
        table = self._table
        key = table.key(time or table.key_name)
        partitions = table.partitions(key)
        if partitions is None and not table.is_copy:
            warn_of_scans(table.metadata, key.name)
        return RowOrder(key.name, key.resolution, partitions, then=table.second_order(key.name))

    def is_all_null(self, column: str) -> bool:
        """``False``: metadata do not say, and a scan would cost money."""
        return False

    def time_range(self, time: str) -> TimeRange:
        """Return the first and last time, and the number of rows without one; scans the time column."""
        column = self._table.key(time)
        found = self._table.ask(
            f"MIN({column.ticks_sql}) AS first, MAX({column.ticks_sql}) AS last, COUNTIF({column.sql} IS NULL) AS n_null"
        )
        if found["first"] is None:
            raise DataError(f"Column {time!r} of {self._table.name}, which its rows are ordered by, is null in all of them.")
        return TimeRange(int(found["first"]), int(found["last"]), int(found["n_null"]))

    def count_times(self, time: str, start: int, width: int, n_buckets: int) -> IntArray:
        """Count the rows in each bucket of time by one query; scans the time column of the range."""
        column = self._table.key(time)
        where = self._table.condition(column.between(start, start + width * n_buckets))
        bucket, parameters = column.bucket_sql(start, width, n_buckets)
        table = query_table(
            self._table.clients,
            f"SELECT {bucket} AS _eh_bucket, COUNT(*) AS _eh_n\nFROM {self._table.sql}\nWHERE {where}\nGROUP BY _eh_bucket",
            doing=f"Counting the rows of {self._table.name} by {time}",
            parameters=parameters,
        )
        counts = np.zeros(n_buckets, np.int64)
        counts[table["_eh_bucket"].to_numpy()] = table["_eh_n"].to_numpy()
        return counts

    def times_between(self, time: str, start: int, stop: int) -> IntArray:
        """Return all times in ``[start, stop)``."""
        found = read_where(self._table, [time], self._table.key(time).between(start, stop))[time]
        return ticks(found)[0]
