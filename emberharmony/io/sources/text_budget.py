"""Strings longer than planned: noticed while a chunk is read, before memory runs out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from emberharmony.errors import DataError
from emberharmony.planning.chunks import Chunk

_SLACK_BYTES = 32 * 2**20  # what a plan leaves for buffers

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TextBudget:
    """Memory that the strings of a chunk may take."""

    bytes_per_row: Mapping[str, float]
    """Planned bytes of each column of strings."""
    spare_bytes: int
    """Memory of a chunk that is allowed beyond the plan."""

    def metered(self, pieces: Iterable[pa.Table], chunk: Chunk, path: str) -> Iterator[pa.Table]:
        """Yield a chunk's pieces as long as their strings fit into the planned memory and the spare memory.

        Raises
        ------
        DataError
            If they do not fit; the message names the column that exceeds its plan the most.
        """
        held: dict[str, int] = {}
        warned = False
        for piece in pieces:
            for name in self.bytes_per_row.keys() & {*piece.column_names}:
                held[name] = held.get(name, 0) + piece[name].nbytes
            more = sum(held.values()) - sum(self.bytes_per_row[name] * chunk.n_rows for name in held) - _SLACK_BYTES
            if more > 0 and (more > self.spare_bytes or not warned):
                message = self._message(held, chunk, path)
                if more > self.spare_bytes:
                    raise DataError(
                        f"{message}, and runtime.max_memory_gb leaves no room. Raise it, lower runtime.chunk_rows, or "
                        f"leave the column out with columns.drop."
                    )
                _log.warning("%s: the job takes more memory than planned, within what runtime.max_memory_gb allows.", message)
                warned = True
            yield piece

    def _message(self, held: Mapping[str, int], chunk: Chunk, path: str) -> str:
        excess = {name: n_bytes - self.bytes_per_row[name] * chunk.n_rows for name, n_bytes in held.items()}
        name = max(excess, key=lambda column: excess[column])
        planned = self.bytes_per_row[name] * chunk.n_rows
        return (
            f"Strings of column {name!r} in {chunk} of {path} take {held[name] / 2**20:,.0f} MiB or more, "
            f"{planned / 2**20:,.0f} MiB were planned"
        )
