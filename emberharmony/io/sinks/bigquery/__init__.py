"""Results as BigQuery tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emberharmony.io.sinks.bigquery.publish import BigQuerySink
    from emberharmony.io.sinks.bigquery.spec import BigQuerySinkSpec


def open_sink(spec: BigQuerySinkSpec) -> BigQuerySink:
    """Return the sink of BigQuery tables. Its modules are imported now, see `Vendor`."""
    from emberharmony.io.sinks.bigquery.publish import BigQuerySink

    return BigQuerySink(spec)
