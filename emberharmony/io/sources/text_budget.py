"""Texts that are longer than planned: noticed while a chunk is read, before it takes memory that is not there."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from emberharmony.errors import DataError
from emberharmony.planning.chunks import Chunk

_SLACK_BYTES = 32 * 2**20  # a plan has room for buffers

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TextBudget:
    """What texts of a chunk may take."""

    bytes_per_row: Mapping[str, float]
    """Planned, of every column of texts."""
    spare_bytes: int
    """Memory of a chunk that is allowed and not planned."""

    def metered(self, pieces: Iterable[pa.Table], chunk: Chunk, path: str) -> Iterator[pa.Table]:
        """Pass a chunk's pieces on while their texts keep to the plan, or to what memory is left besides it.

        Raises
        ------
        DataError
            If they take more; the message names the column that exceeds its part the most.
        """
        held: dict[str, int] = {}
        warned = False
        for piece in pieces:
            for name in self.bytes_per_row.keys() & {*piece.column_names}:
                held[name] = held.get(name, 0) + piece[name].nbytes
            more = sum(held.values()) - sum(self.bytes_per_row[name] * chunk.n_rows for name in held) - _SLACK_BYTES
            if more > 0 and (more > self.spare_bytes or not warned):
                told = self._told(held, chunk, path)
                if more > self.spare_bytes:
                    raise DataError(
                        f"{told}, and runtime.max_memory_gb leaves no room for that. Raise it, lower runtime.chunk_rows, or "
                        f"leave the column out with columns.drop."
                    )
                _log.warning("%s: the job takes more memory than planned, within what runtime.max_memory_gb allows.", told)
                warned = True
            yield piece

    def _told(self, held: Mapping[str, int], chunk: Chunk, path: str) -> str:
        excess = {name: n_bytes - self.bytes_per_row[name] * chunk.n_rows for name, n_bytes in held.items()}
        name = max(excess, key=lambda column: excess[column])
        planned = self.bytes_per_row[name] * chunk.n_rows
        return (
            f"Texts of column {name!r} in {chunk} of {path} take {held[name] / 2**20:,.0f} MiB or more, "
            f"{planned / 2**20:,.0f} MiB were planned"
        )
