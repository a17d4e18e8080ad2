"""Open a table by its name, and look at some of its rows."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pyarrow as pa

from emberharmony.io.sources.base import Source, SourceSpec
from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec
from emberharmony.io.sources.capabilities import Sampled
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.io.store.address import is_bucket
from emberharmony.messages import yaml_text
from emberharmony.suggest.table_sample import TableSample, sample_rows

_BIGQUERY = re.compile(r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]+\.[A-Za-z0-9_]+\.[^./\\*]+")
_WITH_WILDCARD = re.compile(r"[*?\[]")


def source_named(table: str) -> SourceSpec:
    """Return the source that a name stands for: ``project.dataset.table`` of BigQuery, else a path, pattern or address.

    Examples
    --------
    >>> source_named("my-project.sales.orders").type, source_named("a.b.parquet").type
    ('bigquery', 'parquet')
    """
    return BigQuerySourceSpec(table=table) if _is_of_bigquery(table) else ParquetSourceSpec(table)


def source_lines(table: str) -> list[str]:
    """Return the section `source` of a job.

    Examples
    --------
    >>> source_lines("data/flights.parquet")
    ['source: {type: parquet, path: data/flights.parquet}']
    """
    if not _is_of_bigquery(table):
        return [f"source: {{type: parquet, path: {yaml_text(table)}}}"]
    return [
        "source:",
        "  type: bigquery",
        f"  table: {yaml_text(table)}",
        "  # temporary_dataset: SCRATCH  # for copies that expire; needed for views, for `columns.entity`, and without a time",
    ]


def _is_of_bigquery(table: str) -> bool:
    return bool(_BIGQUERY.fullmatch(table)) and not table.endswith((".parquet", ".parq", ".pq"))


def sink_beside(table: str) -> str:
    """Return where the result of a table goes: a folder beside it; of tables that lie elsewhere, one in the working directory.

    Examples
    --------
    >>> sink_beside("data/flights.parquet"), sink_beside("data/2024/*.parquet"), sink_beside("s3://lake/sales/")
    ('data/flights-result', 'data/2024-result', 'sales-result')
    """
    path = PurePosixPath(table.replace("\\", "/"))
    while len(path.parts) > 1 and _WITH_WILDCARD.search(str(path)):
        path = path.parent
    if _WITH_WILDCARD.search(str(path)) or not path.name or path.name == "..":
        path = path.parent / "table"
    elif path.suffix in (".parquet", ".parq", ".pq"):
        path = path.with_suffix("")
    folder = f"{path.name}-result"
    return folder if is_bucket(table) or _is_of_bigquery(table) else str(path.parent / folder)


def look_at(source: Source) -> TableSample:
    """Return a sample of a table: of at most 50,000 rows, 64 MiB and 4 row groups, whatever its size.

    No rows are looked at if that would be charged for.
    """
    table = source.describe()
    names = [name for name in table.schema.names if name not in table.unreadable]
    schema = table.schema
    if not isinstance(source, Sampled) or source.sample_is_charged:
        return TableSample(
            schema, table.n_rows, pa.schema([schema.field(name) for name in names]).empty_table(), table.unreadable
        )
    most = sample_rows(sum(table.bytes_per_row.get(name, 8.0) for name in names), len(names))
    return TableSample(schema, table.n_rows, source.sample(names, most), table.unreadable)
