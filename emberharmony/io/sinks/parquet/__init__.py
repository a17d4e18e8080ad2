"""Results as folders of Parquet files."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emberharmony.io.sinks.parquet.publish import ParquetSink
    from emberharmony.io.sinks.parquet.spec import ParquetSinkSpec


def open_sink(spec: ParquetSinkSpec) -> ParquetSink:
    """Return the sink of a folder of Parquet files. Its modules are imported now, see `Vendor`."""
    from emberharmony.io.sinks.parquet.publish import ParquetSink

    return ParquetSink(spec)
