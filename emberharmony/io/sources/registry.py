"""The sources that a job can name. A new source is a folder beside this file, and one line of `SOURCES`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

from emberharmony.io.sources.base import Source, SourceSpec
from emberharmony.io.sources.bigquery.source import BigQuerySource
from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec
from emberharmony.io.sources.parquet.source import ParquetSource
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec


@dataclass(frozen=True)
class SourceType:
    """A type of source: the class of its settings, and the function that opens the table they name."""

    spec: type[Any]
    open: Callable[[Any], Source]


SOURCES: Mapping[str, SourceType] = {
    "parquet": SourceType(ParquetSourceSpec, ParquetSource),
    "bigquery": SourceType(BigQuerySourceSpec, BigQuerySource),
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
