"""Published results for readers: tables for pyarrow, pandas, polars and DuckDB, the manifest and the fitted state."""

from emberharmony.published.published_result import PublishedResult, open_result
from emberharmony.published.published_table import PublishedTable

__all__ = ["PublishedResult", "PublishedTable", "open_result"]
