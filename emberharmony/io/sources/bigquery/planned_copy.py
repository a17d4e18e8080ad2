"""A copy that is not there yet: what planning asks is asked of the query that will make it."""

from __future__ import annotations

from functools import cached_property
from types import SimpleNamespace
from typing import Any

from emberharmony.io.bigquery.queries import table_of
from emberharmony.io.bigquery.schema import bytes_per_row
from emberharmony.io.sources.base import TableCopy
from emberharmony.io.sources.bigquery.materialise import schema_of
from emberharmony.io.sources.bigquery.table import BigQueryTable


class PlannedCopy(BigQueryTable):
    """The rows of a pinned query, which are counted but never read; sizes are those of the table, or guesses for a query."""

    is_made = False

    @property
    def query(self) -> str:
        """The query."""
        assert self.spec.pin is not None
        assert self.spec.pin.query is not None
        return self.spec.pin.query

    @property
    def sql(self) -> str:
        """What stands behind FROM."""
        return f"(\n{self.query}\n)"

    @cached_property
    def metadata(self) -> Any:
        """What is known of the copy."""
        return SimpleNamespace(schema=schema_of(self.clients, self.query, {}), time_partitioning=None)

    @property
    def row_bytes(self) -> dict[str, float]:
        """Decoded bytes of a value of each column."""
        unknown = SimpleNamespace(schema=self._fields, num_bytes=0, num_rows=0)
        return bytes_per_row(self.schema, table_of(self.clients, self.given) if self.given else unknown)

    @property
    def described_copy(self) -> TableCopy:
        """The copy to come; it takes about as many bytes as the query scans."""
        pin = self.spec.pin
        assert pin is not None
        assert pin.scanned_bytes is not None
        usd = self.spec.query_usd(pin.scanned_bytes)
        return TableCopy(pin.table, pin.scanned_bytes, pin.scanned_bytes, None, usd, is_arranged=True, is_made=False)
