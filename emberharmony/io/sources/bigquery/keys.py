"""The column that chunks are ranges of, as integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from emberharmony.errors import PlanError
from emberharmony.io.bigquery.identifiers import quote, timestamp_literal
from emberharmony.planning.chunks import LAST_TICK

_DAY_S: Final = 86_400
# 0001-01-01 and the first microsecond past 9999-12-31: there are no literals beyond.
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_897
KEY_TYPES: Final = ("TIMESTAMP", "DATETIME", "DATE", "INT64", "INTEGER")
"""Types of columns that chunks may be ranges of."""
_DAYS: Final = {"TIMESTAMP": _DAY_S * 1_000_000, "DATETIME": _DAY_S * 1_000_000, "DATE": _DAY_S}


@dataclass(frozen=True)
class Key:
    """A column of times or whole numbers; its ticks are microseconds (DATE: seconds, as everywhere in the job)."""

    name: str
    kind: str  # BigQuery's type

    def __post_init__(self) -> None:
        """Refuse types that have no ranges of integers."""
        if self.kind not in KEY_TYPES:
            raise PlanError(f"Column {self.name!r} is of type {self.kind}; chunks are ranges of times or whole numbers.")

    @property
    def sql(self) -> str:
        """The column's quoted name."""
        return quote(self.name)

    @property
    def resolution(self) -> int:
        """Ticks between two values that may differ."""
        return _DAY_S if self.kind == "DATE" else 1

    @property
    def ticks_sql(self) -> str:
        """Expression for the column's ticks."""
        return {
            "TIMESTAMP": f"UNIX_MICROS({self.sql})",
            "DATETIME": f"UNIX_MICROS(TIMESTAMP({self.sql}))",
            "DATE": f"UNIX_DATE({self.sql}) * {_DAY_S}",
        }.get(self.kind, self.sql)

    def between(self, start: int, stop: int) -> str:
        """Condition for ticks in ``[start, stop)``: the bare column against literals, by which BigQuery prunes partitions.

        Examples
        --------
        >>> Key("day", "DATE").between(86_400, 2 * 86_400)
        "`day` >= DATE '1970-01-02' AND `day` < DATE '1970-01-03'"
        >>> Key("id", "INT64").between(0, 10)
        '`id` >= 0 AND `id` < 10'
        """
        if self.kind not in _DAYS:
            end = f" AND {self.sql} < {int(stop)}" if stop < LAST_TICK else ""
            return f"{self.sql} >= {int(start)}{end}"
        day = _DAYS[self.kind]
        if start >= _LAST_DAY * day or stop <= _FIRST_DAY * day:
            return "FALSE"
        bounds = []
        if start > _FIRST_DAY * day:
            bounds.append(f"{self.sql} >= {self._literal(start)}")
        if stop < _LAST_DAY * day:
            bounds.append(f"{self.sql} < {self._literal(stop)}")
        return " AND ".join(bounds) or f"{self.sql} IS NOT NULL"

    def bucket_sql(self, start: int, width: int, n_buckets: int) -> tuple[str, dict[str, int]]:
        """Expression for the number of a value's bucket, and its parameters: buckets of `width` ticks from `start` on.

        Differences stand in parentheses: sqlglot, and the tests' server by it, takes ``DIV(a - b, c)`` for ``a - b // c``.
        """
        ticks, parameters = self.ticks_sql, {"start": start, "width": width}
        if width * n_buckets <= LAST_TICK:
            return f"DIV(({ticks} - @start), @width)", parameters
        # Hashes of 64 bits: a difference of two would overflow, one within either half of the buckets does not.
        below = f"DIV((LEAST({ticks}, @middle - 1) - @start), @width)"
        above = f"DIV((GREATEST({ticks}, @middle) - @middle), @width) + IF({ticks} < @middle, 0, 1)"
        return f"{below} + {above}", parameters | {"middle": start + n_buckets // 2 * width}

    def _literal(self, tick: int) -> str:
        return timestamp_literal(-(-int(tick) // _DAY_S) if self.kind == "DATE" else int(tick), self.kind)
