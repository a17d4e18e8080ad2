"""Tables in Parquet files."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emberharmony.io.sources.parquet.source import ParquetSource
    from emberharmony.io.sources.parquet.spec import ParquetSourceSpec


def open_source(spec: ParquetSourceSpec) -> ParquetSource:
    """Return the Parquet files that a spec names. Its modules are imported now, see `Vendor`."""
    from emberharmony.io.sources.parquet.slice import ParquetSlice
    from emberharmony.io.sources.parquet.source import ParquetSource

    return ParquetSource(spec) if spec.rows is None else ParquetSlice(spec, spec.rows)
