"""The column that chunks are ranges of, as integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from emberharmony.errors import PlanError
from emberharmony.io.bigquery.identifiers import quote, timestamp_literal
from emberharmony.planning.chunks import LAST_TICK

_DAY_S: Final = 86_400
# 0001-01-01 and the day after 9999-12-31: the range of literals.
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_897
KEY_TYPES: Final = ("TIMESTAMP", "DATETIME", "DATE", "INT64", "INTEGER")
"""Types of columns that chunks may be ranges of."""
_DAYS: Final = {"TIMESTAMP": _DAY_S * 1_000_000, "DATETIME": _DAY_S * 1_000_000, "DATE": _DAY_S}


@dataclass(frozen=True)
class Key:
    """A column of times or whole numbers. Ticks of times are microseconds; of DATE, seconds as everywhere in the job."""

    name: str
    kind: str  # BigQuery's type
    path: str = ""  # of a field of a STRUCT

    def __post_init__(self) -> None:
        """Refuse types without ranges of integers."""
        if self.kind not in KEY_TYPES:
            raise PlanError(f"Column {self.name!r} is of type {self.kind}; chunks are ranges of times or whole numbers.")

    @property
    def sql(self) -> str:
        """The column's quoted name."""
        return quote(self.path or self.name)

    @property
    def resolution(self) -> int:
        """Smallest distance in ticks between two different values."""
        return _DAY_S if self.kind == "DATE" else 1

    @property
    def ticks_sql(self) -> str:
        """SQL expression for the column's ticks."""
        return {
            "TIMESTAMP": f"UNIX_MICROS({self.sql})",
            "DATETIME": f"UNIX_MICROS(TIMESTAMP({self.sql}))",
            "DATE": f"UNIX_DATE({self.sql}) * {_DAY_S}",
        }.get(self.kind, self.sql)

    def between(self, start: int, stop: int) -> str:
        """Return the SQL condition for ticks in ``[start, stop)``. The bare column lets BigQuery prune partitions.

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
        """Return the SQL expression for the number of a value's bucket, `width` ticks from `start` on, and its parameters.

        Differences are in parentheses: sqlglot, which the tests' server uses, reads ``DIV(a - b, c)`` as ``a - b // c``.
        """
        ticks, parameters = self.ticks_sql, {"start": start, "width": width}
        if width * n_buckets <= LAST_TICK:
            return f"DIV(({ticks} - @start), @width)", parameters
        # The difference of two 64-bit hashes may overflow; inside either half of the buckets it does not.
        below = f"DIV((LEAST({ticks}, @middle - 1) - @start), @width)"
        above = f"DIV((GREATEST({ticks}, @middle) - @middle), @width) + IF({ticks} < @middle, 0, 1)"
        return f"{below} + {above}", parameters | {"middle": start + n_buckets // 2 * width}

    def _literal(self, tick: int) -> str:
        return timestamp_literal(-(-int(tick) // _DAY_S) if self.kind == "DATE" else int(tick), self.kind)
