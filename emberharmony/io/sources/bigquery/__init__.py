"""Tables in BigQuery."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emberharmony.io.sources.bigquery.source import BigQuerySource
    from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec


def open_source(spec: BigQuerySourceSpec) -> BigQuerySource:
    """Return the BigQuery table that a spec names. Its modules are imported now, see `Vendor`."""
    from emberharmony.io.sources.bigquery.source import BigQuerySource

    return BigQuerySource(spec)
