"""The sources that a job can name. A new source is a folder beside this file, and one line of `SOURCES`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Union

from emberharmony.io.sources import bigquery, parquet
from emberharmony.io.sources.base import Source, SourceSpec
from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.io.vendor import Vendor

SOURCES: Mapping[str, Vendor[Source]] = {
    "parquet": Vendor(ParquetSourceSpec, parquet.open_source),
    "bigquery": Vendor(BigQuerySourceSpec, bigquery.open_source),
}
"""Every type of source by the name that a job gives as `source.type`."""

if TYPE_CHECKING:
    AnySourceSpec = SourceSpec
else:
    AnySourceSpec = Union[tuple(source.spec for source in SOURCES.values())]  # noqa: UP007  (pydantic reads its members)


def open_source(spec: SourceSpec) -> Source:
    """Return the table that a spec names. Nothing is read yet.

    Examples
    --------
    >>> type(open_source(ParquetSourceSpec("flights.parquet"))).__name__
    'ParquetSource'
    """
    return SOURCES[spec.type].open(spec)
