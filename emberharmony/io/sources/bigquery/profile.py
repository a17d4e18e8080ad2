"""Profiling where the data is: one generated statement, one scan, and only figures travel."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from emberharmony.errors import PlanError
from emberharmony.features.columns import FeatureColumn
from emberharmony.features.kinds.registry import kind_named
from emberharmony.io.bigquery.connection import Clients
from emberharmony.io.bigquery.identifiers import quote
from emberharmony.io.bigquery.queries import query_row, run_query
from emberharmony.io.sources.base import ColumnFigures
from emberharmony.stats.moments import Moments

_LOGGER = logging.getLogger(__name__)
_COLUMNS_PER_STATEMENT: Final = 400
"""A statement may be 1 MB long; the columns of very wide tables are profiled by several, each scanning only its own."""


@dataclass(frozen=True)
class ProfileSpec:
    """How closely columns are looked at."""

    quantiles: int = 1000  # equal parts that APPROX_QUANTILES cuts a column into; even, so that the median is one of its cuts
    top: int = 100  # most frequent categories

    def __post_init__(self) -> None:
        """Refuse what BigQuery would refuse."""
        if self.quantiles < 2 or self.quantiles % 2 or self.top < 1:
            raise ValueError(f"{self} makes no sense: an even number of quantiles and at least one category.")


def profile_table(
    clients: Clients,
    source: str,
    columns: Sequence[FeatureColumn],
    kinds: Mapping[str, str],
    *,
    paths: Mapping[str, str] | None = None,
    doing: str,
    where: str = "TRUE",
    spec: ProfileSpec | None = None,
) -> dict[str, ColumnFigures]:
    """Profile columns inside BigQuery: a dry run for the bytes to scan, then one statement.

    Parameters
    ----------
    source : str
        What stands behind FROM: a quoted table at its snapshot time.
    columns : sequence of FeatureColumn
        The columns, and their kinds.
    kinds : mapping of str to str
        Their BigQuery types.
    paths : mapping of str to str
        Their paths, where they are fields of a STRUCT.
    where : str
        Condition on the rows.

    Raises
    ------
    PlanError
        If it would scan more than the connection's `maximum_bytes_billed`.
    """
    spec = spec or ProfileSpec()
    row: dict[str, Any] = {}
    for first in range(0, max(len(columns), 1), _COLUMNS_PER_STATEMENT):
        part = columns[first : first + _COLUMNS_PER_STATEMENT]
        sql = profile_sql(source, part, kinds, paths=paths, where=where, spec=spec, first=first)
        bytes_of_part = int(run_query(clients, sql, doing=doing, dry_run=True).total_bytes_processed or 0)
        ceiling = clients.connection.maximum_bytes_billed
        if ceiling is not None and bytes_of_part > ceiling:
            raise PlanError(
                f"{doing} would scan {bytes_of_part:,} bytes, over the {ceiling:,} of `maximum_bytes_billed`. Raise it, name "
                f"fewer columns in `source.columns`, or set `source.profile: stream`."
            )
        _LOGGER.info("%s scans %d bytes", doing, bytes_of_part)
        row |= query_row(clients, sql, doing=doing)
    n_rows = int(row["n_rows"])
    return {column.name: _figures(column.name, row, f"c{i}", n_rows, spec) for i, column in enumerate(columns)}


def profile_sql(
    source: str,
    columns: Sequence[FeatureColumn],
    kinds: Mapping[str, str],
    *,
    paths: Mapping[str, str] | None = None,
    where: str = "TRUE",
    spec: ProfileSpec | None = None,
    first: int = 0,
) -> str:
    """Return the statement that profiles `columns`; figures of column ``i`` are called ``c{first + i}_...``."""
    spec = spec or ProfileSpec()
    figures = ["COUNT(*) AS n_rows"]
    for i, column in enumerate(columns, first):
        kind, name = kind_named(column.kind), quote((paths or {}).get(column.name, column.name))
        found = kind.aggregates(name, kinds[column.name], n_quantiles=spec.quantiles, n_top=spec.top)
        figures += [f"{aggregate} AS c{i}_{figure}" for figure, aggregate in found.items()]
    body = ",\n  ".join(figures)
    return f"SELECT\n  {body}\nFROM {source}\nWHERE {where}"


def _figures(name: str, row: Mapping[str, Any], alias: str, n_rows: int, spec: ProfileSpec) -> ColumnFigures:
    """Return the figures of one column; those that its kind did not ask for are empty."""
    found = {key: row.get(f"{alias}_{key}") for key in ("null", "nonfinite", "quantiles", "top")}
    counted = [(entry["value"], int(entry["count"])) for entry in found["top"] or ()]
    # Ties in count are broken by value, as everywhere; BigQuery leaves them open.
    top = sorted(((value, n) for value, n in counted if value is not None), key=lambda pair: (-pair[1], pair[0]))
    return ColumnFigures(
        name,
        n_rows,
        n_null=int(found["null"] or 0),
        n_nonfinite=int(found["nonfinite"] or 0),
        moments=_moments(row, alias),
        quantiles=tuple(map(float, found["quantiles"] or ())),
        top=tuple(top[: spec.top]),
    )


def _moments(row: Mapping[str, Any], alias: str) -> Moments:
    count = int(row.get(f"{alias}_count") or 0)
    if not count:
        return Moments.empty()
    mean, variance, low, high = (float(row[f"{alias}_{key}"]) for key in ("mean", "variance", "min", "max"))
    return Moments(count, mean, variance * count, low, high)
