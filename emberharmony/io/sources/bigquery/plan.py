"""What planning asks of a BigQuery table: its order and counts of times, by queries that return only counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from emberharmony.arrow import ticks
from emberharmony.errors import DataError
from emberharmony.io.bigquery.identifiers import quote
from emberharmony.io.bigquery.queries import Parameter, query_table
from emberharmony.io.sources.base import RowOrder, SeriesTotals, TimeRange
from emberharmony.io.sources.bigquery.materialise import warn_of_scans
from emberharmony.io.sources.bigquery.read import read_where
from emberharmony.io.sources.bigquery.table import BigQueryTable
from emberharmony.stats.key_counts import KeyCounts
from emberharmony.threads import in_parallel
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

    def times_between(self, time: str, ranges: Sequence[tuple[int, int]]) -> list[IntArray]:
        """Return all times in each of some ranges ``[start, stop)``, which are asked for at the same time."""
        return list(in_parallel(lambda times: self._times_within(time, *times), ranges, len(ranges)))

    def _times_within(self, time: str, start: int, stop: int) -> IntArray:
        table, inside = self._table, self._table.key(time).between(start, stop)
        if table.is_made:
            return ticks(read_where(table, [time], inside)[time])[0]
        found = query_table(
            table.clients,
            f"SELECT {table.key(time).ticks_sql} AS _eh_tick\nFROM {table.sql}\nWHERE {table.condition(inside)}",
            doing=f"Reading the times of {table.name}",
        )
        times: IntArray = found["_eh_tick"].to_numpy()
        return times

    # ---- of a copy that is arranged by series, see `ArrangedByServer` --------------------------------------------------

    @property
    def is_arranged(self) -> bool:
        """Whether rows are read from such a copy."""
        return bool(self._table.series and self._table.series.entity)

    def series_totals(self) -> SeriesTotals:
        """Return what planning asks of all rows at once; scans the columns of entity and time."""
        table = self._table
        assert table.series is not None
        then = table.key(table.series.then)
        nulls = " AND ".join([table.has_place, *(f"{quote(table.dotted(name))} IS NULL" for name in table.series.entity)])
        found = table.ask(
            f"MIN({then.ticks_sql}) AS first, MAX({then.ticks_sql}) AS last, COUNTIF({then.sql} IS NULL) AS n_null, "
            f"COUNTIF({nulls}) AS n_entities_null, APPROX_COUNT_DISTINCT({table.key(table.key_name).sql}) AS n_entities"
        )
        if found["first"] is None:
            raise DataError(f"Column {then.name!r} of {table.name}, which its rows are ordered by, is null in all of them.")
        ties = TimeRange(int(found["first"]), int(found["last"]), int(found["n_null"]))
        return SeriesTotals(int(found["n_entities"]), int(found["n_entities_null"]), ties)

    def count_keys(self, shift: int, *, inside: Sequence[int] = (), of_shift: int = 0) -> KeyCounts:
        """Count the rows in ranges of keys, by one query; scans the column of keys."""
        key = self._table.key(self._table.key_name).sql
        condition, parameters = "", dict[str, Parameter](shift=shift)
        if inside:
            condition = f"({key} >> @of_shift) IN UNNEST(@inside)"
            parameters |= {"of_shift": of_shift, "inside": list(inside)}
        found = self._counts({"_eh_key": f"{key} >> @shift"}, condition, parameters)
        keys, counts = found["_eh_key"], found["_eh_n"]
        order = np.argsort(keys)
        return KeyCounts(keys[order], counts[order], shift)

    def count_ties(self, keys: Sequence[int], start: int, width: int, n_buckets: int) -> Mapping[int, KeyCounts]:
        """Count the rows of some keys in buckets of what orders them, by one query."""
        table = self._table
        assert table.series is not None
        key, then = table.key(table.key_name).sql, table.key(table.series.then)
        bucket, parameters = then.bucket_sql(start, width, n_buckets)
        found = self._counts(
            {"_eh_key": key, "_eh_bucket": bucket}, f"{key} IN UNNEST(@keys)", {**parameters, "keys": list(keys)}
        )
        order = np.lexsort((found["_eh_bucket"], found["_eh_key"]))
        numbers, buckets, counts = (found[name][order] for name in ("_eh_key", "_eh_bucket", "_eh_n"))
        numbers, starts = np.unique(numbers, return_index=True)
        parts = zip(np.split(buckets, starts[1:]), np.split(counts, starts[1:]), strict=True)
        return dict(zip(numbers.tolist(), (KeyCounts(*part) for part in parts), strict=True))

    def _counts(self, groups: Mapping[str, str], condition: str, parameters: Mapping[str, Parameter]) -> dict[str, IntArray]:
        """Return the rows that have a place, counted by some expressions."""
        table = self._table
        names = ", ".join(f"{sql} AS {name}" for name, sql in groups.items())
        where = table.condition(" AND ".join(filter(None, [table.has_place, condition])))
        found = query_table(
            table.clients,
            f"SELECT {names}, COUNT(*) AS _eh_n\nFROM {table.sql}\nWHERE {where}\nGROUP BY {', '.join(groups)}",
            doing=f"Counting the rows of {table.name} by entity",
            parameters=parameters,
        )
        return {name: found[name].to_numpy().astype(np.int64) for name in (*groups, "_eh_n")}
